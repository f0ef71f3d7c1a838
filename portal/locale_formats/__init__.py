"""How dates read in the admin, by language. Django finds them through settings.FORMAT_MODULE_PATH."""
