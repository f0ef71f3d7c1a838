"""What the reader is told: the notification centre, and alerts in words for every page that shows some."""
