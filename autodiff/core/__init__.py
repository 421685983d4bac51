"""What everything stands on: specs, arrays, interpreters, rules, primitives."""
