// An exchange whose models do not fit in any cache: what bounds it is moving them, not arithmetic.
//
//   near   a piece of all messages is first copied to a small aligned buffer, from which each is read as often as it
//          has receivers: no vector then straddles two cache lines, and few pages are in use at a time
//   ahead  the same columns of the next piece are asked for meanwhile, a line ahead: rows begin anywhere in a line
//   stream sums go to memory without being read from there first, by stores past the caches. These are quick for whole
//          lines alone: each vector is joined from the end of one sum and the beginning of the next, and the last sums
//          of a row's piece wait for the next piece
//
// For AVX2, whose vectors are half a line: to join those of four lanes takes longer than what all this saves.
#pragma once
#include <immintrin.h>
#include <stdlib.h>

#include "job.hpp"
#include "vectors.hpp"

namespace {

// A store past the caches; `to` is aligned.
INLINE void stream(float* to, Vector value) {
    _mm256_stream_ps(to, reinterpret_cast<__m256>(value));
}

// Lanes LANES - shift, ..., 2 LANES - shift - 1 of two vectors side by side; shift: the remainder of `before`.
struct Joint {
    int64_t shift;
    Integers places;

    explicit Joint(int64_t before) : shift(before % LANES), places() {
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
    static constexpr int WAIT = LINE / LANES;  // vectors

    const Exchange& exchange;
    const int64_t devices, width;  // of now, then and out
    float* near;                   // (devices, PIECE) what is heard
    float* late;                   // (devices, LINE) sums that wait

    explicit Far(const Exchange& exchange) : exchange(exchange), devices(exchange.devices), width(exchange.columns) {
        near = static_cast<float*>(aligned_alloc(64, 4 * devices * (PIECE + LINE)));
        late = near + devices * PIECE;
    }

    ~Far() { free(near); }

    // How far behind the beginning of a line a row of sums begins.
    int64_t shift(int64_t row) const { return reinterpret_cast<intptr_t>(exchange.out + row * width) / 4 % LINE; }

    // Of row k the sums of columns begin(k), ..., end(k) - 1; the few others are left.
    int64_t begin(int64_t row) const { return LINE - shift(row); }
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
            Vector all[WAIT + TILE], *sum = all + WAIT;
            UNROLL for (int j = 0; j < TILE; ++j) sum[j] = exchange.own[row] * load(own + j * LANES);
            for (int64_t link = first[row]; link < first[row + 1]; ++link) {
                const float* heard = near + sender[link] * PIECE;
                UNROLL for (int j = 0; j < TILE; ++j) sum[j] += weight[link] * load(heard + j * LANES);
            }
            float* waits = late + row * LINE;
            UNROLL for (int j = 0; j < WAIT; ++j) all[j] = load(waits + j * LANES);
            const int64_t before = shift(row);
            if (before < LANES) stream_all<0>(all, before, out - before, column == 0);
            else stream_all<WAIT - 1>(all, before, out - before, column == 0);
            UNROLL for (int j = 0; j < WAIT; ++j) store(waits + j * LANES, all[TILE + j]);
        }
    }

    // Whole lines, the first of which begins so many numbers (WHOLE vectors and some) before the piece's sums.
    template <int WHOLE> static INLINE void stream_all(const Vector* all, int64_t before, float* to, bool first) {
        const Joint join(before);
        UNROLL for (int j = 0; j < TILE; ++j)
            if (j >= WAIT || !first) stream(to + j * LANES, join(all[WAIT - WHOLE + j - 1], all[WAIT - WHOLE + j]));
    }

    INLINE void expect(const float* from) const {
        UNROLL for (int64_t c = 0; c < PIECE; c += LINE) __builtin_prefetch(from + PIECE + LINE + c, 0, 2);
    }
};

}  // namespace
