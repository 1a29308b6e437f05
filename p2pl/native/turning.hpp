// What needs lanes to change places: the backward product, and moving weights between the caller's layout and ours.
//
//   backward  B[n][k] = sum_o D[n][o] W[k][o]
#pragma once
#ifdef __AVX2__
#include <immintrin.h>
#endif
#include "vectors.hpp"

namespace {

// A square tile of registers, transposed: each pass interleaves its upper half with its lower.
INLINE void turn(Vector (&tile)[LANES]) {
    UNROLL for (int pass = 1; pass < LANES; pass *= 2) {
        Vector next[LANES];
        UNROLL for (int i = 0; i < LANES / 2; ++i) {
            next[2 * i] = low(tile[i], tile[i + LANES / 2]);
            next[2 * i + 1] = high(tile[i], tile[i + LANES / 2]);
        }
        UNROLL for (int i = 0; i < LANES; ++i) tile[i] = next[i];
    }
}

// One vector whose lane i is the sum over the lanes of v[i]: `turn`, adding instead of keeping both.
INLINE Vector sums(Vector (&v)[LANES]) {
    UNROLL for (int half = LANES / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; ++i) v[i] = low(v[i], v[i + half]) + high(v[i], v[i + half]);
    return v[0];
}

// LANES neighbouring columns of B, whose weights begin at w, times what is in their place: below (n of below_stride).
// Many outputs: sums across lanes for each sample. Few: a turned tile of weights for all samples.
void backward_many(const float* delta, int64_t n, const float* w, int64_t stride, int64_t vectors, float* below,
                   int64_t below_stride) {
    for (int64_t r = 0; r < n; ++r) {
        Vector sum[LANES] = {};
        for (int64_t j = 0; j < vectors; ++j) {
            const Vector error = load(delta + r * stride + j * LANES);
            UNROLL for (int i = 0; i < LANES; ++i) sum[i] += error * load(w + i * stride + j * LANES);
        }
        store(below + r * below_stride, load(below + r * below_stride) * sums(sum));
    }
}

void backward_few(const float* delta, int64_t n, const float* w, int64_t stride, float* below, int64_t below_stride) {
    Vector tile[LANES];
    UNROLL for (int i = 0; i < LANES; ++i) tile[i] = load(w + i * stride);
    turn(tile);
    for (int64_t r = 0; r < n; ++r) {
        Vector sum = {};
        UNROLL for (int i = 0; i < LANES; ++i) sum += delta[r * stride + i] * tile[i];
        store(below + r * below_stride, load(below + r * below_stride) * sum);
    }
}

INLINE Vector load_some(const float* from, int64_t some) {
    Vector value = {};
    memcpy(&value, from, 4 * some);
    return value;
}

INLINE void store_some(float* to, Vector value, int64_t some) {
    if (some >= LANES) store(to, value);
    else memcpy(to, &value, 4 * some);
}

// to[c][r] = unit from[r][c] for a tile of `rows` times `columns`, each at most LANES; WHOLE: both are, and so the tile
// stays in registers. A whole row of `to` is written if `padded`: what is beyond is zero.
template <bool WHOLE>
void transpose(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows, int64_t columns,
               bool padded, float unit) {
    Vector tile[LANES] = {};
    if (WHOLE) rows = columns = LANES;
    UNROLL for (int i = 0; i < LANES; ++i) {
        const float* place = from + i * from_stride;
        if (i < rows) tile[i] = columns == LANES ? load(place) : load_some(place, columns);
    }
    turn(tile);
    UNROLL for (int i = 0; i < LANES; ++i)
        if (i < columns) store_some(to + i * to_stride, unit * tile[i], padded ? LANES : rows);
}

INLINE void transpose_tile(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows,
                           int64_t columns, bool padded, float unit) {
    const auto tile = rows == LANES && columns == LANES ? transpose<true> : transpose<false>;
    tile(from, from_stride, to, to_stride, rows, columns, padded, unit);
}

// Stores past the caches, and what must follow them before others may read.
#if defined(__AVX512F__)
INLINE void stream(float* to, Vector value) { _mm512_stream_ps(to, reinterpret_cast<__m512>(value)); }
#elif defined(__AVX2__)
INLINE void stream(float* to, Vector value) { _mm256_stream_ps(to, reinterpret_cast<__m256>(value)); }
#else
INLINE void stream(float* to, Vector value) { store(to, value); }
#endif
INLINE void end_streams() {
#ifdef __AVX2__
    _mm_sfence();
#endif
}

// Copies `count` numbers; from and to begin at the same place in a line.
INLINE void stream_all(const float* from, float* to, int64_t count) {
    const int64_t head = (LINE - reinterpret_cast<uintptr_t>(to) / 4 % LINE) % LINE;
    int64_t i = head < count ? head : count;
    memcpy(to, from, 4 * i);
    for (; i + LINE <= count; i += LINE)
        UNROLL for (int64_t j = 0; j < LINE; j += LANES) stream(to + i + j, load(from + i + j));
    memcpy(to + i, from + i, 4 * (count - i));
}

INLINE int64_t at_most_lanes(int64_t count) { return count < LANES ? count : LANES; }

// `unit` times weights (out, in), as the caller has them, to scratch (in, stride), and back: LANES of the caller's rows
// at a time, by way of `near` (LANES, in, and a line). Far memory is fast where it is passed through in one go, not by
// tiles.
void weights_in(const float* from, float* to, float* near, int64_t out, int64_t in, int64_t stride, float unit) {
    for (int64_t o = 0; o < out; o += LANES) {
        const int64_t rows = at_most_lanes(out - o);
        memcpy(near, from + o * in, 4 * rows * in);
        for (int64_t k = 0; k < in; k += LANES)
            transpose_tile(near + k, in, to + k * stride + o, stride, rows, at_most_lanes(in - k), true, unit);
    }
}

// `past`: by stores past the caches, which do not read first what they overwrite.
void weights_out(const float* from, float* to, float* near, int64_t out, int64_t in, int64_t stride, float unit,
                 bool past) {
    for (int64_t o = 0; o < out; o += LANES, to += LANES * in) {
        const int64_t rows = at_most_lanes(out - o);
        float* here = near + reinterpret_cast<uintptr_t>(to) / 4 % LINE;  // where lines begin as they do there
        for (int64_t k = 0; k < in; k += LANES)
            transpose_tile(from + k * stride + o, stride, here + k, in, at_most_lanes(in - k), rows, false, unit);
        if (past) stream_all(here, to, rows * in);
        else memcpy(to, here, 4 * rows * in);
    }
}

}  // namespace
