"""Forms of the portal: they read and check what people type; use-case modules decide and write."""
