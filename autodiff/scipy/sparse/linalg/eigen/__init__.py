"""Some eigenvalues and singular values of sparse matrices and of operators."""
