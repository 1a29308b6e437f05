// What needs lanes to change places: tiles that are transposed, and the backward product.
//
//   backward  B[n][k] = sum_o D[n][o] W[k][o]
#pragma once
#include "vectors.hpp"

namespace {

// Tiles number i and i + APART, for all such pairs, change what `KIND` says.
template <Shuffle KIND, int APART> INLINE void turn_pairs(Vector (&tile)[LANES]) {
    UNROLL for (int i = 0; i < LANES; ++i) {
        if (i & APART) continue;
        const Vector a = tile[i], b = tile[i + APART];
        tile[i] = shuffle<KIND, 0>(a, b), tile[i + APART] = shuffle<KIND, 1>(a, b);
    }
}

// A square tile of registers, transposed: first pieces of four by four lanes, which costs least, then the pieces.
INLINE void turn(Vector (&tile)[LANES]) {
    turn_pairs<ONES, 1>(tile);
    turn_pairs<TWOS, 2>(tile);
    UNROLL for (int i = 1; i < LANES; i += 4) {  // of each four now the second and the third are in each other's place
        const Vector a = tile[i];
        tile[i] = tile[i + 1], tile[i + 1] = a;
    }
    if constexpr (LANES > 4) turn_pairs<FOURS, 4>(tile);
    if constexpr (LANES > 8) turn_pairs<FOURS, 8>(tile);
}

// One vector whose lane i is the sum over the lanes of v[i].
INLINE Vector sums(Vector (&v)[LANES]) {
    UNROLL for (int half = LANES / 2; half; half /= 2)
        UNROLL for (int i = 0; i < half; ++i)
            v[i] = shuffle<JOIN, 0>(v[i], v[i + half]) + shuffle<JOIN, 1>(v[i], v[i + half]);
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

INLINE int64_t at_most_lanes(int64_t count) { return count < LANES ? count : LANES; }

}  // namespace
