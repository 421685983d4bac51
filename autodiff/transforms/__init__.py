"""What users call on functions, one module per transform or family."""
