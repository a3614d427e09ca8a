"""Who answers: a protocol in text and seconds, and what keeps it."""
