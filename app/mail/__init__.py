"""Mail: notices by e-mail to applicants whose address was verified, off unless an SMTP server is set."""
