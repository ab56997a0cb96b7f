"""Writes tests/oracle/fixtures/statistics.json, which tests/study/statistics_oracle_test.cpp reads:
what scikit-learn and scipy compute, and DeLong's interval and test from the formulas of the 1988
paper, pair by pair. A person runs it when the fixtures should change; tests need no Python.

    python3 -m venv .venv && .venv/bin/pip install numpy scipy scikit-learn
    .venv/bin/python tests/oracle/make_statistics_fixtures.py tests/oracle/fixtures
"""
import json
import pathlib
import sys

import numpy as np
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.preprocessing import StandardScaler


def psi(x, y):
    """1 where x > y, one half where they tie, for every pair: [m, n]."""
    return (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])


def placements(scores, labels):
    """V10 [m] and V01 [n], averaged over repeats. scores: [R, patients]."""
    pairs = [psi(s[labels == 1], s[labels == 0]) for s in scores]
    mean = np.mean(pairs, axis=0)
    return mean.mean(axis=1), mean.mean(axis=0)


def covariance(a, b):
    """DeLong et al. 1988: S10 / m + S01 / n for two arms' placements."""
    total = 0.0
    for u, v in zip(a, b):
        n = len(u)
        total += np.sum((u - u.mean()) * (v - v.mean())) / (n - 1) / n
    return total


def auc_case(name, labels, arms):
    labels = np.array(labels)
    case = {"name": name, "labels": labels.tolist(), "arms": []}
    placed = []
    for scores in arms:
        scores = np.round(np.atleast_2d(np.array(scores, float)), 4)
        v = placements(scores, labels)
        placed.append(v)
        auc = np.mean([roc_auc_score(labels, s) for s in scores])
        error = np.sqrt(covariance(v, v))
        low, high = np.clip(norm.interval(0.95, auc, error), 0, 1) if error > 0 else (auc, auc)
        case["arms"].append({"scores": scores.tolist(), "auc": auc, "error": error,
                             "low": low, "high": high})
    if len(arms) > 1:
        a, b = placed[:2]
        difference = case["arms"][0]["auc"] - case["arms"][1]["auc"]
        error = np.sqrt(covariance(a, a) + covariance(b, b) - 2 * covariance(a, b))
        case["difference"] = difference
        case["difference_error"] = error
        case["p"] = 2 * norm.sf(abs(difference) / error)
    return case


def auc_cases(rng):
    def labels(positives, negatives):
        return rng.permutation([1] * positives + [0] * negatives)

    cases = []
    y = labels(24, 86)
    cases.append(auc_case("24 against 86", y, [[y * 0.9 + rng.normal(size=110)],
                                               [y * 0.5 + rng.normal(size=110)]]))
    y = labels(17, 30)
    base = y * 0.8 + rng.normal(size=47)
    cases.append(auc_case("three repeats, correlated arms", y,
                          [base + 0.5 * rng.normal(size=(3, 47)),
                           base + 0.7 * rng.normal(size=(3, 47))]))
    y = labels(9, 14)
    cases.append(auc_case("many ties", y, [[np.floor(3 * rng.random(23) + y)],
                                           [np.floor(4 * rng.random(23))]]))
    y = labels(3, 4)
    cases.append(auc_case("seven patients", y, [[rng.random(7)], [rng.random(7)]]))
    y = labels(6, 5)
    cases.append(auc_case("near 1, interval clipped", y, [[y * 1.6 + rng.normal(size=11) * 0.8],
                                                          [rng.random(11)]]))
    return cases


def roc_case(rng):
    labels = rng.integers(0, 2, 40)
    scores = np.round(rng.random(40) + 0.3 * labels, 1)
    x, y, _ = roc_curve(labels, scores, drop_intermediate=False)
    # The largest rate at each false positive rate; straight lines between.
    grid = np.linspace(0, 1, 21)
    keep = np.r_[x[1:] != x[:-1], True]
    return {"labels": labels.tolist(), "scores": scores.tolist(),
            "rates": np.interp(grid, x[keep], y[keep]).tolist()}


def logistic_case(rng, name, n, features, classes, penalty, balanced):
    labels = np.r_[np.arange(classes), rng.choice(classes, n - classes,
                                                  p=np.arange(1, classes + 1) /
                                                  np.arange(1, classes + 1).sum())]
    rows = rng.normal(size=(n, features)) * 3 + 5 + labels[:, None] * rng.random(features)
    rows = np.round(rows, 4)
    scaled = StandardScaler().fit_transform(rows)
    # newton-cholesky and lbfgs minimize the same convex loss; take the one with the smaller gradient.
    model = LogisticRegression(C=1 / penalty, class_weight="balanced" if balanced else None,
                               tol=1e-12, max_iter=100000, solver="lbfgs").fit(scaled, labels)
    if classes == 2:
        model = LogisticRegression(C=1 / penalty, class_weight="balanced" if balanced else None,
                                   tol=1e-12, max_iter=1000, solver="newton-cholesky").fit(scaled, labels)
    return {"name": name, "rows": rows.tolist(), "labels": labels.tolist(), "classes": classes,
            "penalty": penalty, "balanced": balanced, "weights": model.coef_.tolist(),
            "probabilities": np.round(model.predict_proba(scaled), 9).tolist()}


def quantile_cases(rng):
    values = np.round(rng.normal(size=37), 3)
    return {"values": values.tolist(),
            "points": [[q, float(np.quantile(values, q))] for q in (0, 0.025, 0.3, 0.5, 0.975, 1)]}


def main():
    rng = np.random.default_rng(20240611)
    fixtures = {
        "auc": auc_cases(rng),
        "roc": roc_case(rng),
        "quantile": quantile_cases(rng),
        "logistic": [
            logistic_case(rng, "two classes, balanced", 60, 3, 2, 1.0, True),
            logistic_case(rng, "two classes, weak penalty", 40, 4, 2, 0.01, False),
            logistic_case(rng, "four classes, balanced", 60, 3, 4, 1.0, True),
        ],
    }
    out = pathlib.Path(sys.argv[1]) / "statistics.json"
    out.write_text(json.dumps(fixtures, separators=(",", ":")) + "\n")
    print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
