// The most floating-point operations a second that an instruction set has: a <- a x + y in registers, nothing else.
//
// Compiled once for each instruction set, in a namespace P2PL_SET of its own.
#include "vectors.hpp"

namespace P2PL_SET {

// Returns how many operations were done. x: a number below 1, which the compiler must not know; what comes of it.
double turn_over(int64_t times, float* x) {
    constexpr int CHAINS = 12;  // more than are under way at once, and few enough for the registers
    const Vector factor = Vector{} + *x;
    Vector sum[CHAINS];
    for (int j = 0; j < CHAINS; ++j) sum[j] = factor * static_cast<float>(j);
    for (int64_t i = 0; i < times; ++i)
        UNROLL for (int j = 0; j < CHAINS; ++j) sum[j] = sum[j] * factor + factor;
    for (int j = 0; j < CHAINS; ++j) *x += sum[j][0];
    return 2.0 * CHAINS * LANES * static_cast<double>(times);
}

}  // namespace P2PL_SET
