"""Program that opens workbooks and archives in a process of its own, without any other code of the service."""
