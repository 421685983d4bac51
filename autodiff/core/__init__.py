"""What everything is built on: specs, arrays, interpreters, rules, primitives."""
