"""Files to keep: CSV and XLSX answers of any page (files), and the page of the long ones that are written in the background."""
