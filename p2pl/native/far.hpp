// An exchange whose models do not fit in any cache: what bounds it is moving them, not arithmetic.
//
//   near   a piece of all messages is first copied to a small aligned buffer, from which each is read as often as it
//          has receivers: no vector then straddles two cache lines, and few pages are in use at a time
//   ahead  the same columns of the next piece are asked for meanwhile, a line ahead: rows begin anywhere in a line
//   stream sums go to memory without being read from there first, by stores past the caches. These take aligned
//          vectors alone: each is joined from the end of one sum and the beginning of the next, and the last sum of a
//          row's piece waits for the next piece
//
// For AVX2 and AVX-512: to join vectors of four lanes takes longer than what all this saves.
#pragma once
#include <immintrin.h>
#include <stdlib.h>

#include "job.hpp"
#include "kernels.hpp"

namespace {

// A store past the caches; `to` is aligned.
INLINE void stream(float* to, Vector value) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, reinterpret_cast<__m512>(value));
#else
    _mm256_stream_ps(to, reinterpret_cast<__m256>(value));
#endif
}

// Lanes LANES - shift, ..., 2 LANES - shift - 1 of two vectors side by side.
struct Joint {
    int64_t shift;
    Integers places;

    explicit Joint(int64_t shift) : shift(shift), places() {
        UNROLL for (int i = 0; i < LANES; ++i) places[i] = static_cast<int32_t>(LANES - shift + i);
    }

    INLINE Vector operator()(Vector before, Vector now) const {
#ifndef __clang__
        return __builtin_shuffle(before, now, places);
#else  // which has shuffles of constant places only
        Vector both[2] = {before, now};
        return load(reinterpret_cast<float*>(both) + LANES - shift);
#endif
    }
};

// With pieces of TILE vectors.
template <int TILE> struct Far {
    static constexpr int64_t PIECE = TILE * LANES;

    const Exchange& exchange;
    const int64_t devices, width;  // of now, then and out
    float* near;                   // (devices, PIECE) what is heard
    float* late;                   // (devices, LANES) sums that wait

    explicit Far(const Exchange& exchange) : exchange(exchange), devices(exchange.devices), width(exchange.columns) {
        near = static_cast<float*>(aligned_alloc(64, 4 * devices * (PIECE + LINE)));
        late = near + devices * PIECE;
    }

    ~Far() { free(near); }

    // How far a row of sums begins behind an aligned vector.
    int64_t shift(int64_t row) const { return reinterpret_cast<intptr_t>(exchange.out + row * width) / 4 % LANES; }

    // Of row k the sums of columns begin(k), ..., end(k) - 1; the few others are left.
    int64_t begin(int64_t row) const { return LANES - shift(row); }
    int64_t end(int64_t row) const { return width / PIECE * PIECE - shift(row); }

    void mix() const {
        for (int64_t column = 0; column + PIECE <= width; column += PIECE) {
            for (int64_t row = 0; row < devices; ++row) {
                const float* from = exchange.then + row * width + column;
                UNROLL for (int j = 0; j < TILE; ++j) store(near + row * PIECE + j * LANES, load(from + j * LANES));
            }
            if (exchange.now == exchange.then) sums<false>(column);
            else sums<true>(column);
        }
        _mm_sfence();
    }

    template <bool APART> void sums(int64_t column) const {
        const int64_t *first = exchange.first, *sender = exchange.sender;
        const float *weight = exchange.weight, *now = exchange.now + column, *then = exchange.then + column;
        float* out = exchange.out + column;
        for (int64_t row = 0; row < devices; ++row, now += width, then += width, out += width) {
            expect(then);
            if (APART) expect(now);
            const float* own = APART ? now : near + row * PIECE;
            Vector sum[TILE];
            UNROLL for (int j = 0; j < TILE; ++j) sum[j] = exchange.own[row] * load(own + j * LANES);
            for (int64_t link = first[row]; link < first[row + 1]; ++link) {
                const float* heard = near + sender[link] * PIECE;
                UNROLL for (int j = 0; j < TILE; ++j) sum[j] += weight[link] * load(heard + j * LANES);
            }
            const Joint join(shift(row));
            float *to = out - join.shift, *waits = late + row * LANES;
            if (column) stream(to, join(load(waits), sum[0]));
            UNROLL for (int j = 1; j < TILE; ++j) stream(to + j * LANES, join(sum[j - 1], sum[j]));
            store(waits, sum[TILE - 1]);
        }
    }

    INLINE void expect(const float* from) const {
        UNROLL for (int64_t c = 0; c < PIECE; c += LINE) __builtin_prefetch(from + PIECE + LINE + c, 0, 2);
    }
};

}  // namespace
