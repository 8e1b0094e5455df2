"""What the project publishes: results/ and models/, written by one command and checked by another."""
