// Baselines: what a network has to beat (tumor shape, age) and what it might live on instead of
// the tumor (the shortcuts: site, which sequences are there, slice count, background, intensity
// scale). In the same folds as the networks, as prediction rows, so that every table treats all
// alike. The tumor blanked out is a network's arm, not one of these.
#pragma once
#include <string>
#include <vector>

#include "apps/study/logistic.hpp"
#include "apps/study/predictions.hpp"
#include "apps/study/target.hpp"
#include "data/dataset.hpp"
#include "data/splits.hpp"

namespace gliograd::study {

enum class BaselineKind {
  raw,       // one number as it is, nothing fitted; its sign was fixed beforehand
  fitted,    // logistic regression in each fold, all preparation inside the fold
  shortcut,  // the same, of what should say nothing about the tumor
};
const char* name_of(BaselineKind kind);

struct Baseline {
  std::string name;
  BaselineKind kind = BaselineKind::raw;
  /// By repeat, fold, patient, as the networks' rows. A raw feature leaves out the patients whose
  /// value is missing.
  std::vector<ScoredPatient> rows;
};

struct BaselineOptions {
  std::vector<std::string> covariates = {};  // as covariate_named takes them, e.g. age
  LogisticOptions logistic = {};
};

/// Raw (two classes only, since a sign is needed): inverse_bevr, angular_std, margin_fluctuation,
/// area and each covariate, more of it speaking for class 1, and extent, less of it.
/// Fitted: shape (inverse_bevr, angular_std, margin_fluctuation), size (area, volume), each
/// covariate, and inverse_bevr and shape with all covariates. Shortcuts: site, sequences, slice
/// count, background, intensity scale, and all of them together. What the set does not have (masks,
/// sites, sequences that all have) is left out. Errors: Error for an unknown covariate, or a split
/// that was made for another set.
std::vector<Baseline> baselines(const data::Dataset& set, const Target& target,
                                const data::Split& split, const BaselineOptions& options = {});

/// The covariate column of this name, or the only one whose name begins with it and an underscore
/// ("age" finds age_at_initial_pathologic). Errors: Error that lists the names that exist.
const data::CovariateColumn& covariate_named(const data::Dataset& set, const std::string& name);
/// {"age"} where covariate_named finds one, else nothing.
std::vector<std::string> age_columns(const data::Dataset& set);

/// The shortcut features, NaN where a patient has none; exposed for tests.
FeatureColumns sequence_columns(const data::Dataset& set);  // 1 where the sequence is the patient's
FeatureColumns slice_count_columns(const data::Dataset& set);
/// Per channel, the 5 % point of the stored values other than 0: what air looks like on that
/// scanner. (Zeros are left out because windows beyond the image's edge are filled with them.)
FeatureColumns background_columns(const data::Dataset& set);
/// Per channel, the patient's median and spread in the source's gray values.
FeatureColumns intensity_columns(const data::Dataset& set);

}  // namespace gliograd::study
