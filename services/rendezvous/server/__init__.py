"""The rendezvous server: joins requests with scores and answers each by its deadline."""
