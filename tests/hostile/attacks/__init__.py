"""One attack a module: its first line says what it does, attack(scene) does it."""
