"""Program that opens workbooks and archives: a process of its own, with nothing of the service but these files."""
