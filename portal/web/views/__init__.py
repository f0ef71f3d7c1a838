"""One file for each page or family of pages: parse, call one function, render. URLs are in ../urls.py, how a page is entered in ../pages.py."""
