"""Writing style of references: texts without their content, and how unusual one is beside others."""
