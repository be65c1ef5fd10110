"""The highest rate that the system keeps."""
