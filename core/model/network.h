/*
 * The rate network's fixed parts (leak, signs, types, mask) and its initial weights, made by the recipe of Liu et al.
 * 2022 as in their published code.
 *
 * All parameters of a network are one contiguous float vector in the order W, Win, b, Wout, bout, row-major, unpadded:
 * the order of the weights document and of its sha256. W[q*N + p] is the weight from q to p.
 */
#ifndef MODPROP_CORE_NETWORK_H
#define MODPROP_CORE_NETWORK_H

#include "core/base/result.h"
#include "core/base/work.h"
#include "core/base/neuron.h"
#include "core/model/config.h"

struct network {
    int units, inputs, outputs; /* N, I, O */
    int types;                  /* C */
    int inhibitory;             /* units 0..inhibitory-1 are inhibitory; 0 without Dale's law */
    bool dale, bias;
    enum neuron neuron;
    enum activation activation;
    bool equal_leaks;
    struct neuron_constants spiking; /* 0 of models that do not spike */
    bool noisy;
    bool readout_leaks;
    double readout_kappa; /* exp(-dt/readout_tau); 0 where the readout does not leak */
    size_t parameters;    /* floats in `weights` */
    size_t offset_W, offset_Win, offset_b, offset_Wout,
        offset_bout;                 /* in `weights`; offset_b == offset_Wout where no bias */
    float *weights;                  /* (parameters), 64-byte aligned */
    float *leak, *gain;              /* (N) */
    double *leak_exact, *gain_exact; /* (N) the same before rounding to float */
    float *rho, *beta;               /* (N) of models that adapt, else 0 */
    float *noise_of_unit;            /* (N) standard deviation of what noise adds to the current at each step */
    double *rho_exact, *beta_exact;  /* (N) */
    int *type_of_unit;               /* (N) 0..C-1, contiguous groups, inhibitory types first */
    int *type_size;                  /* (C) */
    int *sign;                       /* (N) -1, +1; 0 without Dale's law */
    uint8_t *mask;                   /* (N,N) 1 where a synapse may exist; NULL: everywhere off the diagonal */
    void *memory;
};

/*
 * C: the units of each sign, without Dale's law all units, fall into types_per_sign types, or one a unit where they are
 * fewer.
 */
int network_types_count(const struct network_config *config);
/* Inhibitory units: N - E, E = floor(excitatory_fraction * N) + 1; 0 without Dale's law. */
int network_inhibitory_count(const struct network_config *config);

/*
 * Allocates and fills everything, with weights from the published recipe and the seed (or config->initial). `work` (may
 * be NULL) counts and stops. Returns RESULT_DONE; or with a sentence in error RESULT_NO_MEMORY, RESULT_STOPPED, or
 * RESULT_INVALID if sizes are below 1, config->initial has other sizes, or the eigenvalues of the recipe's matrices do
 * not converge; the network is then released. network_release is NULL-safe.
 */
enum result network_init(struct network *network, const struct network_config *config, int inputs, int outputs,
                         uint64_t seed, struct work *work, char error[256]);
/* The same with weights of 0, for a network whose weights come from elsewhere: the recipe costs an eigenvalue problem.
 */
enum result network_init_blank(struct network *network, const struct network_config *config, int inputs, int outputs,
                               uint64_t seed, struct work *work, char error[256]);
/* Multiply-adds that network_init takes. */
double network_init_cost(const struct network_config *config, int inputs, int outputs);
void network_release(struct network *network);

/* What a network cannot hold of the given weights (config->initial): numbers of nonzero entries. */
struct given_losses {
    size_t diagonal;  /* of W, autapses: cleared at the start */
    size_t unmasked;  /* of W, where connectivity and seed leave no synapse: cleared at the start */
    size_t forbidden; /* of W and Wout, remaining entries whose sign violates Dale's law for the source: the first
                       * update sets them to 0 */
    size_t bias;      /* of b, without bias: never used */
};
/* False, with a sentence, if out of memory. */
bool network_given_losses(const struct network_config *config, int inputs, int outputs, uint64_t seed,
                          struct given_losses *losses, char error[256]);

/*
 * The memory of a network of these sizes, zeroed, without types, leaks or weights: for callers that supply their own.
 * False if out of memory.
 */
bool network_allocate(struct network *network, int units, int inputs, int outputs, bool bias, bool masked);
/* W, Win, b, Wout and bout together; SIZE_BEYOND if there are too many. */
size_t network_parameters(int units, int inputs, int outputs, bool bias);
/*
 * Takes weights; b may be NULL: zeros. False, with a sentence, if the view's sizes are not the network's: nothing is
 * read then.
 */
bool network_weights_set(struct network *network, const struct weights_view *weights, char error[256]);
/*
 * Sets leak and gain of a unit: 1 - leak, or 1 where the neuron model spikes. equal_leaks is right once all units have
 * been set in order.
 */
void network_leak_set(struct network *network, int unit, double leak);
/* Sets the decay of a unit's adaptation and what it adds to the threshold. */
void network_adaptation_set(struct network *network, int unit, double rho, double beta);
/* What network_init gives a unit: the last units of each sign have beta, the others 0; rho may be drawn by the seed. */
void network_adaptation_of(const struct network_config *config, uint64_t seed, int unit, double *rho, double *beta);
/* Sets what all units of a spiking network share; refractory in steps. */
void network_spiking_set(struct network *network, double threshold, double dampening, int refractory);

/*
 * Type averages of W, row-major (C,C), w[g*C+h] from type g to type h (model: "M, weights"). `existing` counts nonzero
 * synapses only; an empty block's average is 0. `averages` has room for 2*C*C numbers; the second half is scratch.
 */
void type_averages(const struct network *network, bool existing, double *averages);

#endif
