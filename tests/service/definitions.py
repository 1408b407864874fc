"""The rules by their definitions, in float64 and with numpy alone: what POST /v1/gradients is held against.

Nothing here is fast or shares a line with the simulator. Shapes: T steps, B trials, N units, I inputs, O outputs;
`network` is the document of
POST /v1/gradients.
"""

import numpy as np


def forward(network, x):
    """z (T+1,B,N) with z[0] = 0 before the first step, y (T,B,O), psi (T,B,N)."""
    W, Win, Wout, bout, leak = (np.array(network[k], float) for k in ("W", "Win", "Wout", "bout", "leak"))
    b = np.array(network["b"], float) if network.get("b") is not None else 0.0
    steps, trials, _ = x.shape
    v, z, psi = np.zeros((trials, len(W))), np.zeros((steps + 1, trials, len(W))), np.zeros((steps, trials, len(W)))
    for t in range(steps):
        v = leak * v + (1 - leak) * (z[t] @ W + x[t] @ Win + b)
        relu = network["activation"] == "relu"
        z[t + 1] = np.maximum(v, 0) if relu else np.tanh(v)
        psi[t] = v > 0 if relu else 1 - z[t + 1] ** 2
    return z, z[1:] @ Wout + bout, psi


def loss_and_error(y, targets, mask, kind):
    m = mask / mask.sum()
    if kind == "mse":
        difference = y - targets
        return float((m * 0.5 * (difference**2).sum(-1)).sum()), m[..., None] * difference
    shifted = y - y.max(-1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
    hot = np.eye(y.shape[-1])[targets]
    return float(-(m * np.log((p * hot).sum(-1))).sum()), m[..., None] * (p - hot)


def carrying_weights(network, rule):
    """M: the weights on which credit travels."""
    W = np.array(network["W"], float)
    if rule.get("weights", "cell") == "cell" or rule["type"] in ("bptt", "rtrl"):
        return W
    types = np.array(network.get("types") or [0] * len(W))
    exists = W != 0
    M = np.zeros_like(W)
    for g in set(types):
        for h in set(types):
            block = np.ix_(types == g, types == h)
            if rule.get("averaging", "all") == "all":
                M[block] = W[block].mean()
            elif exists[block].any():
                M[block] = np.where(exists[block], W[block].sum() / exists[block].sum(), 0)
    return M


def credit(rule, a, psi, leak, M, mu):
    """d (T,B,N) by the recursions; without taps."""
    gain = 1 - leak
    d, m = np.zeros((len(a) + 1, *a.shape[1:])), np.zeros((len(a) + 1, *a.shape[1:]))
    after = np.concatenate([a, np.zeros_like(a[:1])])
    for t in reversed(range(len(a))):
        local = a[t] + leak * d[t + 1]
        if rule["type"] in ("bptt", "rtrl"):
            d[t] = local + psi[t] * ((gain * d[t + 1]) @ M.T)
        elif rule["type"] == "eprop":
            d[t] = local
        elif rule["type"] == "mdgl":
            d[t] = local + psi[t] * ((gain * after[t + 1]) @ M.T)
        elif rule.get("first_hop", "mu") == "mu":
            d[t] = local + mu * ((gain * d[t + 1]) @ M.T)
        else:
            m[t] = a[t] + leak * m[t + 1] + mu * ((gain * m[t + 1]) @ M.T)
            d[t] = local + psi[t] * ((gain * m[t + 1]) @ M.T)
    return d[:-1]


def source_gradient(rule, sources, a, psi, leak, M, mu):
    """(K,N): the gradient of the weights from `sources` (T,B,K), s_t being what enters step t."""
    gain, taps = 1 - leak, rule.get("taps")
    if taps is None or rule["type"] != "modprop":
        return np.einsum("tbk,tbn->kn", sources, gain * credit(rule, a, psi, leak, M, mu))
    total = np.einsum("tbk,tbn->kn", sources, gain * credit({"type": "eprop"}, a, psi, leak, M, mu))
    K = np.diag(leak) + mu * M * gain
    exact = rule.get("first_hop", "mu") == "exact"
    trace = np.zeros((len(a), a.shape[1], sources.shape[2], a.shape[2]))
    for t in range(len(a)):
        trace[t] = (leak * trace[t - 1] if t else 0) + gain * sources[t][:, :, None]
    for t in range(len(a)):  # event by event
        power = np.eye(len(leak))  # K^(s-1)
        for s in range(1, min(taps, t) + 1):
            hop = (a[t] @ (M * gain @ power).T) if exact else None
            power = power @ K
            if exact:
                total += np.einsum("bn,bkn->kn", hop * psi[t - s], trace[t - s])
            else:
                nonlocal_part = a[t] @ (power - np.diag(leak**s)).T
                total += np.einsum("bk,bn->kn", sources[t - s], gain * nonlocal_part)
    return total


def gradients(case, rule):
    """Loss and {"W", "Win", "b", "Wout", "bout"} of one rule object on a body of POST /v1/gradients."""
    network, x = case["network"], np.array(case["inputs"], float)
    targets, mask = np.array(case["targets"]), np.array(case["mask"], float)
    z, y, psi = forward(network, x)
    loss, error = loss_and_error(y, targets, mask, case["loss"])
    symmetric = rule.get("feedback", "symmetric") == "symmetric"
    a = psi * (error @ (np.array(network["Wout"], float).T if symmetric else np.array(network["feedback"], float)))
    fixed = (a, psi, np.array(network["leak"], float), carrying_weights(network, rule), rule.get("mu", 0.25))
    return loss, {
        "W": source_gradient(rule, z[:-1], *fixed),
        "Win": source_gradient(rule, x, *fixed),
        "b": source_gradient(rule, np.ones((*x.shape[:2], 1)), *fixed)[0],
        "Wout": np.einsum("tbn,tbo->no", z[1:], error),
        "bout": error.sum((0, 1)),
    }
