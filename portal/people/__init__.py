"""People at the door: passwords, second factors, single sign-on, invitations. allauth does the protocol; here stand our rules."""
