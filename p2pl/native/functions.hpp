// exp, erf and tanh of whole vectors, for all floats and without branches: a number's result does not depend on where
// it stands. Greatest relative errors found: exp 1.0e-7 (1.2 units in the last place), erf 4.1e-7, tanh 3.4e-7.
#pragma once
#include "vectors.hpp"

namespace {

// c[0] + c[1] x + ... + c[N - 1] x^(N - 1)
template <int N> INLINE Vector polynomial(const float (&c)[N], Vector x) {
    Vector sum = all(c[N - 1]);
    UNROLL for (int i = N - 2; i >= 0; --i) sum = sum * x + c[i];
    return sum;
}

// 2^n for normal numbers.
INLINE Vector power_of_two(Integers n) { return (Vector)((n + 127) << 23); }

// x = n ln 2 + r, and e^r by a polynomial for |r| <= ln 2 / 2 (minimax, relative error 3e-9). ln 2 comes in two parts:
// n times the first is exact. 2^n comes in two factors: one alone might be infinite, or not a normal number.
INLINE Vector exp_of(Vector x) {
    constexpr float series[] = {1, 1, 0.49999994f, 0.166665211f, 0.041668389f, 0.00836871658f, 0.00138145988f};
    constexpr float high = 22713.0f / 32768, low = 1.42860682e-6f, by_log_2 = 1.44269504f;
    constexpr float whole = 12582912;  // 1.5 * 2^23: what is added to it is rounded to a whole number, its lowest bits
    x = x < -110.0f ? all(-110) : x > 90.0f ? all(90) : x;  // beyond: 0 and infinity
    const Vector shifted = x * by_log_2 + whole, n = shifted - whole;
    const Vector r = (x - n * high) - n * low;
    const Integers power = (Integers)shifted - (Integers)all(whole), half = power >> 1;
    return polynomial(series, r) * power_of_two(half) * power_of_two(power - half);
}

// An odd function that rounds to 1 from `edge` on: a P(a^2) / Q(a^2) below, a = |x|.
template <int N> INLINE Vector odd(const float (&p)[N], const float (&q)[N], float edge, Vector x) {
    const Integers sign = (Integers)x & INT32_MIN;
    const Vector a = (Vector)((Integers)x ^ sign), square = a * a;
    const Vector inner = a * (polynomial(p, square) / polynomial(q, square));
    const Vector value = a >= edge ? all(1) : inner > 1.0f ? all(1) : inner;  // nan stays
    return (Vector)((Integers)value | sign);
}

// Minimax in relative error, 2e-8 each, by iterated weighted least squares.
INLINE Vector erf_of(Vector x) {
    constexpr float p[] = {1.12837911f, 0.190406442f, 0.0527487174f, 0.00376561587f, 0.00028488267f, 2.05008701e-6f};
    constexpr float q[] = {1, 0.502076089f, 0.114109099f, 0.0149692139f, 0.00116253528f, 3.80917081e-5f};
    return odd(p, q, 3.92f, x);
}

INLINE Vector tanh_of(Vector x) {
    constexpr float p[] = {1, 0.133826852f, 0.00349745504f, 2.06357781e-5f, 1.33842315e-8f};
    constexpr float q[] = {1, 0.467160076f, 0.0258843508f, 0.000328851282f, 7.79022457e-7f};
    return odd(p, q, 9.02f, x);
}

}  // namespace
