"""E-mails: what they say (letters.py), how they look (rendering.py, templates/emails/), how they leave (delivery.py)."""
