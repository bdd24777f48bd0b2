"""Listing and download of the files of records."""
