// The first layer: its inputs are data, and its weights most of all there are. One sweep over them, a chunk of inputs
// at a time, makes the update with one batch, or two, and the forward product with the next; see pairs.hpp.
//
// Sparse inputs: weights whose input is zero in the whole batch have no gradient, and take their steps, in closed form,
// when they are next needed: v_s = mu^s v, w_s = w - lr (mu + ... + mu^s) v (Nesterov: mu times that). Where it is not
// zero that most inputs are, see common.hpp.
#pragma once
#include "common.hpp"
#include "pairs.hpp"
#include "sparse.hpp"

namespace {

// Places in the job's order of samples.
struct Range {
    int64_t begin = 0, end = 0;
};

constexpr int64_t NARROW = 48;

struct First {
    const Job& job;
    const Step& step;
    Layer& layer;
    int64_t chunks, parts;  // of a row: each few enough vectors for the registers
    bool able, sparse;      // multiply only with inputs that are not zero: where it is worth it, and so for this device
    bool paired;            // two batches share a sweep, for this device
    float* products;        // (MOST_IN_PAIR, CHUNK) of inputs
    int64_t* done;          // (in) steps that each row has made
    float *decay, *reach;   // (steps + 1) mu^s, and lr (mu + ... + mu^s), in units of v
    Common common;

    First(const Job& job, const Step& step, Layer& layer, int64_t samples)
        : job(job), step(step), layer(layer), chunks((layer.in + CHUNK - 1) / CHUNK),
          parts((layer.vectors + WIDEST - 1) / WIDEST) {
        // Weight decay and drift move all weights at each step; and a narrow layer has too little arithmetic for an
        // input to be worth a search for it.
        able = job.active && job.weight_decay == 0 && !job.drift && layer.out >= NARROW;
        choose(samples);
    }

    // samples: of the device's largest batch, whatever other devices there are. `who` has a bit for each.
    void choose(int64_t samples) {
        sparse = able && samples <= CHUNK;
        paired = step.plain && !sparse && samples <= MOST_IN_PAIR;
    }

    void take(Arena& arena, Window& batch, int64_t samples) const {
        const int64_t room = larger(samples, 2 * (samples < MOST_IN_PAIR ? samples : MOST_IN_PAIR));
        batch.x = arena.take<float>(able && samples <= CHUNK ? 0 : chunks * CHUNK * room);
        batch.apart = arena.take<const float*>(samples);
        batch.any = arena.take<uint64_t>(chunks);
        batch.who = arena.take<uint64_t>(chunks * CHUNK);
        batch.value = arena.take<float>(able ? chunks * CHUNK * (samples < CHUNK ? samples : CHUNK) : 0);
        batch.sum = arena.take<float>(samples);
        batch.z = arena.take<float>(room * layer.stride);
    }

    void take(Arena& arena, int64_t steps) {
        products = arena.take<float>(MOST_IN_PAIR * CHUNK);
        common.take(arena, layer.stride);
        done = arena.take<int64_t>(layer.in);
        decay = arena.take<float>(steps + 1), reach = arena.take<float>(steps + 1);
        double power = 1, total = 0;
        for (int64_t s = 0; decay && s <= steps; ++s, power *= job.momentum, total += power) {
            decay[s] = static_cast<float>(power);
            reach[s] = static_cast<float>(job.lr * total * (job.nesterov ? job.momentum : 1) / step.unit);
        }
    }

    float base() const { return static_cast<float>(job.base); }
    int64_t end(int64_t c) const { return c + 1 < chunks ? (c + 1) * CHUNK : layer.in; }

    uint64_t active(int64_t sample, int64_t c) const { return job.active[sample * chunks + c]; }

    // How many batches share the sweep that begins with number t of those before `last`; where their samples are.
    int64_t count(int64_t t, int64_t last) const { return t < last ? 1 + (paired && t + 1 < last) : 0; }
    Range range(int64_t t, int64_t last) const { return {job.cuts[t], job.cuts[t + count(t, last)]}; }

    // Turns to batch number t of those before `last`, and perhaps the one after it.
    void take(Window& batch, int64_t t, int64_t last) const {
        const Range place = range(t, last);
        batch.n = job.cuts[t + 1] - place.begin, batch.then = place.end - job.cuts[t + 1];
        batch.samples = job.order + place.begin;
        if (!sparse) return;
        memset(batch.any, 0, 8 * chunks), memset(batch.who, 0, 8 * layer.in);
        for (int64_t r = 0; r < batch.n; ++r) {
            const int64_t sample = batch.samples[r];
            for (int64_t c = 0; c < chunks; ++c) batch.any[c] |= active(sample, c);
            batch.apart[r] = job.apart + job.begins[sample];
            if (shifted()) batch.sum[r] = sum_of(job.apart + job.begins[sample], job.apart + job.begins[sample + 1]);
        }
    }

    // Fetches the inputs of one chunk.
    void gather(const Window& batch, int64_t c) const {
        for (int64_t r = 0; r < batch.all(); ++r) {
            const float* from = job.inputs + batch.samples[r] * layer.in + c * CHUNK;
            float* to = batch.chunk(c) + r * CHUNK;
            if (c + 1 < chunks) memcpy(to, from, 4 * CHUNK);  // a size that the compiler knows
            else memset(to, 0, 4 * CHUNK), memcpy(to, from, 4 * (layer.in - c * CHUNK));
        }
    }

    // Asks for a share, number i of `chunks`, of the samples that are coming: they lie anywhere in memory. (Inline: GCC
    // leaves out calls of functions that only prefetch.)
    INLINE void expect_sparse(Range coming, int64_t i) const {
        const int64_t n = coming.end - coming.begin;
        for (int64_t r = coming.begin + i * n / chunks; r < coming.begin + (i + 1) * n / chunks; ++r) {
            const int64_t sample = job.order[r];
            const float *from = job.apart + job.begins[sample], *last = job.apart + job.begins[sample + 1];
            for (; from < last; from += LINE) __builtin_prefetch(from);
            for (int64_t c = 0; c < chunks; c += 8) __builtin_prefetch(job.active + sample * chunks + c);
            __builtin_prefetch(last - 1), __builtin_prefetch(job.active + (sample + 1) * chunks - 1);
        }
    }

    // Asks for one chunk of the inputs of a sample.
    INLINE void expect(int64_t sample, int64_t c) const {
        const float* from = job.inputs + sample * layer.in;
        for (int64_t k = c * CHUNK; k < end(c); k += LINE) __builtin_prefetch(from + k);
        __builtin_prefetch(from + end(c) - 1);  // they begin anywhere in a line
    }

    // Brings a row that had no part in some steps to where it is after `steps` of them.
    void settle(int64_t k, int64_t steps) const {
        const int64_t missed = steps - done[k];
        done[k] = steps;
        if (!missed || job.momentum == 0) return;
        float *w = layer.weight + k * layer.stride, *v = layer.velocity + k * layer.stride;
        const float shrink = decay[missed], far = reach[missed];
        for (int64_t o = 0; o < layer.vectors * LANES; o += LANES) {
            const Vector speed = load(v + o);
            store(w + o, load(w + o) - far * speed);
            store(v + o, shrink * speed);
        }
    }

    // A device's phase begins, with batch number `first` of those before `last`, and ends.
    void begin(int64_t first, int64_t last) {
        int64_t most = 0;
        for (int64_t t = first; t < last; ++t) most = larger(most, job.cuts[t + 1] - job.cuts[t]);
        choose(most);
        memset(done, 0, 8 * layer.in);
        for (int64_t i = job.cuts[first]; i < job.cuts[last]; ++i) {  // what lies anywhere, but is small
            if (sparse) __builtin_prefetch(job.begins + job.order[i]);
            if (job.classes) __builtin_prefetch(job.classes + job.order[i]);
        }
        if (shifted()) common.begin(layer);
    }

    void end_after(int64_t steps) const {
        for (int64_t k = 0; sparse && k < layer.in; ++k) settle(k, steps);
        if (shifted()) common.give_back(layer);
    }

    bool shifted() const { return sparse && job.base != 0; }

    // One chunk of the update with a window, and of the forward product with the next. coming, at: the samples, and the
    // chunk, whose inputs are asked for meanwhile, a few at a time: not many misses can be under way, and weights miss.
    void sweep_chunk(const Window* before, const Window* next, int64_t c, Range coming, int64_t at) const {
        const int64_t begin = c * CHUNK, count = end(c) - begin, asked = coming.end - coming.begin;
        const int64_t pace = 2 * (before && many(before->n, layer.out) ? MOST_ROWS : FEW_ROWS);
        for (int64_t k = 0, r = 0; k < count; k += pace) {
            const int64_t some = count - k < pace ? count - k : pace;
            for (; r * count < asked * (k + some); ++r) expect(job.order[coming.begin + r], at);
            if (before)
                update(layer, step, {before->chunk(c) + k, before->z, before->n, before->then}, begin + k, some);
        }
        if (!next) return;
        gather(*next, c);
        const int64_t o = begin * layer.stride, n = next->n;
        const float *x = next->chunk(c), *w = layer.weight + o, *v = layer.velocity + o;
        forward_chunk({x, n, {w, nullptr}, count, next->z, layer.stride}, layer.out);
        if (!next->then) return;
        float* z = next->z + n * layer.stride;
        forward_chunk({x + n * CHUNK, next->then, {w, v}, count, z, layer.stride}, layer.out);
    }

    // The same of sparse inputs.
    void sweep_sparse(const Window* before, const Window* next, int64_t c, int64_t steps) const {
        const uint64_t moved = before ? before->any[c] : 0;
        if (before) update_sparse(*before, c, steps);
        if (!next) return;
        for (uint64_t rows = next->any[c] & ~moved; rows; rows &= rows - 1)
            settle(c * CHUNK + __builtin_ctzll(rows), steps);
        forward_sparse(*next, c);
    }

    void update_sparse(const Window& batch, int64_t c, int64_t steps) const {
        const int64_t begin = c * CHUNK, place = begin * layer.stride;
        uint64_t classes[FEW_AT_MOST + 1] = {};  // rows by the number of their samples, 0: more
        for (uint64_t rows = batch.any[c]; rows; rows &= rows - 1) {
            const int64_t k = begin + __builtin_ctzll(rows), count = __builtin_popcountll(batch.who[k]);
            done[k] = steps;
            classes[count > FEW_AT_MOST ? 0 : count] |= rows & -rows;
        }
        update_classes(step, classes, batch.who + begin, batch.value + begin * batch.n, batch.n, batch.z, layer.stride,
                       layer.weight + place, layer.velocity + place, layer.vectors);
        for (uint64_t rows = classes[0]; rows; rows &= rows - 1) {
            const int64_t k = begin + __builtin_ctzll(rows);
            for (int64_t part = 0, j = 0; part < parts; ++part) {
                const int64_t next = (part + 1) * layer.vectors / parts, o = j * LANES, place = k * layer.stride + o;
                sparse_update_of(next - j, step, batch.who[k], batch.value + k * batch.n, batch.z + o, layer.stride,
                                 layer.weight + place, layer.velocity + place);
                j = next;
            }
        }
    }

    void forward_sparse(const Window& batch, int64_t c) const {
        const float* weight = layer.weight + c * CHUNK * layer.stride;
        for (int64_t r = 0; r < batch.n; ++r) {
            const uint64_t mask = active(batch.samples[r], c);
            if (!mask) continue;
            for (int64_t part = 0, j = 0; part < parts; ++part) {
                const int64_t next = (part + 1) * layer.vectors / parts, o = j * LANES;
                sparse_forward_of(next - j, mask, batch.apart[r], weight + o, layer.stride,
                                  batch.z + r * layer.stride + o, batch.who + c * CHUNK, 1ull << r,
                                  batch.value + c * CHUNK * batch.n + r, batch.n);
                j = next;
            }
            batch.apart[r] += __builtin_popcountll(mask);
        }
    }

    // The update with the window before, if any, and the forward product with the next, if any. steps: how many are
    // done after the update. number: of the sweep. coming: the samples after these.
    void sweep(const Window* before, const Window* next, int64_t steps, int64_t number, Range coming) const {
        if (before && shifted()) common.update(layer, step, base(), before->z, before->n, before->sum);
        if (next && shifted()) common.forward(layer, base(), next->z, next->n, next->sum);
        else if (next) memset(next->z, 0, 4 * next->all() * layer.stride);
        for (int64_t i = 0; sparse && i < chunks; ++i) {
            expect_sparse(coming, i);
            sweep_sparse(before, next, i, steps);
        }
        const Range now = next ? Range{next->samples - job.order, next->samples - job.order + next->all()} : coming;
        // To and fro: what was last is still in the cache.
        const int64_t from = number % 2 ? chunks - 1 : 0, by = number % 2 ? -1 : 1;
        for (int64_t i = 0, c = from; !sparse && i < chunks; ++i, c += by) {
            const bool last = i + 1 == chunks;
            sweep_chunk(before, next, c, last || !next ? coming : now, last ? c : c + by);
        }
    }
};

}  // namespace
