"""The build step that turns the official R4 package into `r4.bin`. Nothing here runs while the platform serves."""
