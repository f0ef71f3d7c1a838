"""Telling people: who is told, notices and their pace, mails that are owed and sent, the daily digest. How mails look is in mail/."""
