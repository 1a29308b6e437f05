// The first layer: its inputs are data, and its weights most of all there are. One sweep over them, a chunk of inputs
// at a time, makes the update with one batch and the forward product with the next.
//
// Sparse inputs: weights whose input is zero in the whole batch have no gradient, and take their steps, in closed form,
// when they are next needed: v_s = mu^s v, w_s = w - lr (mu + ... + mu^s) v (Nesterov: mu times that). Where it is not
// zero that most inputs are, see common.hpp.
#pragma once
#include "common.hpp"
#include "sparse.hpp"

namespace {

struct Batch {
    int64_t n = 0;
    const int64_t* samples;  // (n)
    float* z;                // (n, stride) of the first layer; the next batch's is begun before this one's is used up
    float* x;                // (chunks, n, CHUNK) inputs, unless they are sparse
    const float** apart;     // (chunks, n) where those of one sample in one chunk begin that are not zero
    uint64_t* who;           // (chunks * CHUNK) for each input the samples in which it is not zero
    float* sum;              // (n) of each sample's inputs that are not zero
};

constexpr int64_t NARROW = 48;

struct First {
    const Job& job;
    const Step& step;
    Layer& layer;
    int64_t chunks, parts;  // of a row: each few enough vectors for the registers
    bool sparse;            // multiply only with inputs that are not zero
    int64_t* done;          // (in) steps that each row has made
    float *decay, *reach;   // (steps + 1) mu^s, and lr (mu + ... + mu^s)
    Common common;

    First(const Job& job, const Step& step, Layer& layer, int64_t samples)
        : job(job), step(step), layer(layer), chunks((layer.in + CHUNK - 1) / CHUNK),
          parts((layer.vectors + WIDEST - 1) / WIDEST) {
        // Weight decay and drift move all weights at each step; `who` has a bit for each sample; and a narrow layer has
        // too little arithmetic for an input to be worth a search for it.
        sparse = job.active && job.weight_decay == 0 && !job.drift && samples <= CHUNK && layer.out >= NARROW;
    }

    void take(Arena& arena, Batch& batch, int64_t samples) const {
        batch.x = arena.take<float>(sparse ? 0 : chunks * CHUNK * samples);
        batch.apart = arena.take<const float*>(chunks * samples);
        batch.who = arena.take<uint64_t>(chunks * CHUNK);
        batch.sum = arena.take<float>(samples);
        batch.z = arena.take<float>(samples * layer.stride);
    }

    void take(Arena& arena, int64_t steps) {
        common.take(arena, layer.stride);
        done = arena.take<int64_t>(layer.in);
        decay = arena.take<float>(steps + 1), reach = arena.take<float>(steps + 1);
        double power = 1, total = 0;
        for (int64_t s = 0; decay && s <= steps; ++s, power *= job.momentum, total += power) {
            decay[s] = static_cast<float>(power);
            reach[s] = static_cast<float>(job.lr * total * (job.nesterov ? job.momentum : 1));
        }
    }

    float base() const { return static_cast<float>(job.base); }
    int64_t end(int64_t c) const { return c + 1 < chunks ? (c + 1) * CHUNK : layer.in; }

    uint64_t active(int64_t sample, int64_t c) const { return job.active[sample * chunks + c]; }

    // Fetches the inputs of batch number t.
    void gather(Batch& batch, int64_t t) const {
        const int64_t n = batch.n = job.cuts[t + 1] - job.cuts[t];
        batch.samples = job.order + job.cuts[t];
        if (sparse) return gather_sparse(batch);
        for (int64_t c = 0; c < chunks; ++c)
            for (int64_t r = 0; r < n; ++r) {
                const float* from = job.inputs + batch.samples[r] * layer.in + c * CHUNK;
                float* to = batch.x + (c * n + r) * CHUNK;
                if (c + 1 < chunks) memcpy(to, from, 4 * CHUNK);  // a size that the compiler knows
                else memcpy(to, from, 4 * (layer.in - c * CHUNK));
            }
    }

    void gather_sparse(Batch& batch) const {
        memset(batch.who, 0, 8 * layer.in);
        for (int64_t r = 0; r < batch.n; ++r) {
            const int64_t sample = batch.samples[r];
            const float* next = job.apart + job.begins[sample];
            for (int64_t c = 0; c < chunks; ++c) {
                uint64_t* who = batch.who + c * CHUNK;
                batch.apart[c * batch.n + r] = next;
                for (uint64_t word = active(sample, c); word; word &= word - 1, ++next)
                    who[__builtin_ctzll(word)] |= 1ull << r;
            }
            if (shifted()) batch.sum[r] = sum_of(job.apart + job.begins[sample], next);
        }
    }

    // Asks for the inputs of batch number t in one chunk: they lie anywhere in memory.
    void expect(int64_t t, int64_t c) const {
        for (int64_t i = job.cuts[t]; i < job.cuts[t + 1]; ++i) {
            const int64_t sample = job.order[i];
            if (sparse) {
                const int64_t begin = job.begins[sample], count = job.begins[sample + 1] - begin;
                for (int64_t k = c * count / chunks / LINE * LINE; k < (c + 1) * count / chunks; k += LINE)
                    __builtin_prefetch(job.apart + begin + k);
                if (c % 8 == 0) __builtin_prefetch(job.active + sample * chunks + c);
            } else {
                const float* from = job.inputs + sample * layer.in + c * CHUNK;
                for (int64_t k = 0; k < CHUNK; k += LINE) __builtin_prefetch(from + k);
            }
        }
    }

    // Brings a row that had no part in some steps to where it is after `steps` of them.
    void settle(int64_t k, int64_t steps) const {
        const int64_t missed = steps - done[k];
        done[k] = steps;
        if (!missed || job.momentum == 0) return;
        float *w = layer.weight + layer.at[k], *v = layer.velocity + layer.at[k];
        const float shrink = decay[missed], far = reach[missed];
        for (int64_t o = 0; o < layer.vectors * LANES; o += LANES) {
            const Vector speed = load(v + o);
            store(w + o, load(w + o) - far * speed);
            store(v + o, shrink * speed);
        }
    }

    // A device's phase begins, and ends.
    void begin() const {
        memset(done, 0, 8 * layer.in);
        if (shifted()) common.begin(layer);
    }

    void end_after(int64_t steps) const {
        for (int64_t k = 0; sparse && k < layer.in; ++k) settle(k, steps);
        if (shifted()) common.give_back(layer);
    }

    bool shifted() const { return sparse && job.base != 0; }

    // One chunk of the update with a batch, and of the forward product with the next. steps: done so far.
    void update_chunk_of(const Batch& batch, int64_t c, int64_t steps) const {
        const int64_t begin = c * CHUNK;
        if (sparse) update_sparse(batch, c, steps);
        else update(layer, step, batch.x + begin * batch.n, batch.n, batch.z, layer.at + begin, end(c) - begin);
    }

    void forward_chunk_of(const Batch& batch, int64_t c, int64_t steps) const {
        const int64_t begin = c * CHUNK;
        if (sparse) return forward_sparse(batch, c, steps);
        forward_chunk(batch.x + begin * batch.n, batch.n, layer.weight, layer.at + begin, end(c) - begin, batch.z,
                      layer.vectors, layer.stride);
    }

    void update_sparse(const Batch& batch, int64_t c, int64_t steps) const {
        const float* x[CHUNK];  // each sample's next input
        for (int64_t r = 0; r < batch.n; ++r) x[r] = batch.apart[c * batch.n + r];
        for (int64_t k = c * CHUNK; k < end(c); ++k) {
            const uint64_t who = batch.who[k];
            if (!who) continue;
            done[k] = steps;
            for (int64_t part = 0, j = 0; part < parts; ++part) {
                const int64_t next = (part + 1) * layer.vectors / parts, o = j * LANES, place = layer.at[k] + o;
                sparse_update_of(next - j, step, who, x, batch.z + o, layer.stride, layer.weight + place,
                                 layer.velocity + place);
                j = next;
            }
            for (uint64_t word = who; word; word &= word - 1) ++x[__builtin_ctzll(word)];
        }
    }

    void forward_sparse(const Batch& batch, int64_t c, int64_t steps) const {
        for (int64_t k = c * CHUNK; k < end(c); ++k)
            if (batch.who[k]) settle(k, steps);
        const float* weight = layer.weight + layer.at[c * CHUNK];
        for (int64_t part = 0, j = 0; part < parts; ++part) {
            const int64_t next = (part + 1) * layer.vectors / parts, o = j * LANES;
            for (int64_t r = 0; r < batch.n; ++r)
                sparse_forward_of(next - j, active(batch.samples[r], c), batch.apart[c * batch.n + r],
                                  weight + o, layer.stride, batch.z + r * layer.stride + o);
            j = next;
        }
    }

    // The update with the batch before, if any, and the forward product with the next, if any. steps: how many are done
    // after the update. coming: the number of the batch after these, or 0.
    void sweep(const Batch* before, const Batch* next, int64_t steps, int64_t coming) const {
        if (before) update_bias(layer, step, job.bias, before->z, before->n);
        if (before && shifted()) common.update(layer, step, base(), before->z, before->n, before->sum);
        if (next && shifted()) common.forward(layer, base(), next->z, next->n, next->sum);
        else if (next) memset(next->z, 0, 4 * next->n * layer.stride);
        for (int64_t c = 0; c < chunks; ++c) {
            if (coming) expect(coming, c);
            if (before) update_chunk_of(*before, c, steps);
            if (next) forward_chunk_of(*next, c, steps);
        }
    }
};

}  // namespace
