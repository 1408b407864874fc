/*
 * What the scalar form of a neuron model (core/model/neuron.h) and its vector form (core/kernels/neurons.h) share: the
 * numbers that all units of a network have in common.
 */
#ifndef MODPROP_CORE_NEURON_H
#define MODPROP_CORE_NEURON_H

#define NEURON_STATES_MOST 3  /* numbers that a unit carries from step to step */
#define NEURON_CARRIES_MOST 2 /* numbers that its credit carries from step to step, backwards */
#define NEURON_TRACES_MOST 2  /* numbers that a synapse carries forward in time for its eligibility */

/* Of spiking models; 0 for the others. */
struct neuron_constants {
    float threshold;
    float psi_peak;   /* dampening / threshold: the pseudo-derivative at the threshold */
    float psi_slope;  /* dampening / threshold^2: what it loses for a distance of 1 from it */
    float refractory; /* whole steps after a spike in which there is no other */
};

#endif
