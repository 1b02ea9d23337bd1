"""What the library needs of the machine: files written whole, devices."""
