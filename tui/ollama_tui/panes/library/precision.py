"""The types that weights come in, and what each takes: to sort by, and to choose from."""

from __future__ import annotations

FULL_PRECISION = ("F32", "F16", "BF16")
"""What has lost nothing yet."""

FINEST_FIRST = (
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0",
    "MXFP4_MOE", "IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "Q2_K",
    "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "Q2_0", "IQ1_M", "IQ1_S", "Q1_0",
)  # fmt: skip
"""All types of llama.cpp, the largest first."""

SHORT_NAMES = ("Q5_K", "Q4_K", "Q3_K", "MXFP4")
"""Names under which some of them go as well."""

BITS = {
    "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5, "Q6_K": 6.57, "Q5_K_M": 5.7, "Q5_K_S": 5.52, "Q5_1": 6.0, "Q5_0": 5.5,
    "Q4_K_M": 4.85, "Q4_K_S": 4.58, "Q4_1": 5.0, "Q4_0": 4.5, "IQ4_NL": 4.5, "IQ4_XS": 4.25, "Q3_K_L": 4.3,
    "Q3_K_M": 3.9, "Q3_K_S": 3.5, "IQ3_M": 3.7, "IQ3_S": 3.44, "Q2_K": 3.0,
}  # fmt: skip
"""Bits of one weight, on average over a usual model, of the types that can be made without an importance matrix."""
