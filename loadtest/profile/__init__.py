"""Where each microsecond of the server and of the champion's scorer goes."""
