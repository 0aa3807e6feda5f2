# The main table made again: Rscript main_table.R
# synthetic phantom cohort, not clinical evidence

study <- "demo"
unit <- "patient"  # of analysis; patients are the independent ones
delta <- 0.02  # largest difference of the AUC without practical meaning
contrasts_declared <- 4  # differences that the p values are adjusted for
prevalence <- 0.05  # for the net benefit

# What it does. From predictions.csv it fits the calibration and chooses the thresholds again on validation rows, and
# makes again: AUCs with DeLong's variance for clustered data (DeLong et al. 1988; Obuchowski 1997), their intervals for
# these fitted models and for the method trained again (Nadeau and Bengio 2003), sensitivity and specificity with
# Wilson's intervals, Brier score, calibration intercept and slope, differences between models with Holm's p values and
# verdicts, and net benefit (Vickers and Elkin 2006). It prints them beside the numbers of ../tables, and ends with
# status 1 if one differs by more than rounding. Base R is enough; where pROC is installed, it checks the AUCs, variances
# and covariances of single test parts. Bootstrap intervals are not made again.
#
# predictions.csv (or .csv.gz): a row is one unit of analysis in one cell, which is a model, repeat, seed and fold
# (counted from 0). part: test, or validation for the rows on which calibration and thresholds were chosen. patient and
# unit: numbers that stand for the same patient and unit everywhere. logit: the pooled score. prob_calibrated: after
# Platt scaling, of test rows.

here <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
here <- if (length(here)) dirname(gsub("~+~", " ", here[1], fixed = TRUE)) else if (dir.exists("R")) "R" else "."
read <- function(...) {
  read.csv(file.path(here, ...), check.names = FALSE, stringsAsFactors = FALSE, na.strings = "", encoding = "UTF-8")
}
table_of <- function(name) if (file.exists(file.path(here, "..", "tables", name))) read("..", "tables", name)

tolerance <- 1e-6  # between full-precision numbers, relative where they are above 1
agreed <- 0
differing <- character()
check <- function(where, found, pack, tol = tolerance) {
  known <- !is.na(pack)
  wrong <- known & (is.na(found) | abs(found - pack) > tol * pmax(1, abs(pack)))
  agreed <<- agreed + sum(known & !wrong)
  if (any(wrong)) differing <<- c(differing, sprintf("%s: %.8g, in the pack %.8g", where, found[wrong], pack[wrong]))
}
text <- function(v) if (length(v) < 3) sprintf("%.4f", v[1]) else sprintf("%.4f (%.4f to %.4f)", v[1], v[2], v[3])
compare <- function(who, what, found, pack) {
  check(paste(who, what, sep = ", "), found, pack)
  cat(sprintf("%-24s %-32s %-28s %s\n", who, what, text(found), text(pack)))
}

# --- the rows, and what the validation rows give ---------------------------------------------------------------------

predictions <- read(if (file.exists(file.path(here, "predictions.csv"))) "predictions.csv" else "predictions.csv.gz")
names(predictions)[names(predictions) == "repeat"] <- "repetition"
arms <- unique(predictions$arm)
predictions$cell <- with(predictions, paste(arm, repetition, seed, fold))
test <- predictions[predictions$part == "test", ]
validation <- predictions[predictions$part == "validation", ]
validation <- split(validation, validation$cell)

platt <- function(logits, labels) {  # smoothed targets, a slope not below 0 (Platt 1999, section 2.2)
  n1 <- sum(labels == 1)
  n0 <- sum(labels == 0)
  target <- ifelse(labels == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
  constant <- c(qlogis(mean(target)), 0)
  spread <- sd(logits)
  if (spread == 0) return(constant)
  scaled <- (logits - mean(logits)) / spread
  fit <- glm.fit(cbind(1, scaled), target, family = quasibinomial(), control = list(epsilon = 1e-13, maxit = 200))
  if (fit$coefficients[2] < 0) return(constant)
  slope <- fit$coefficients[2] / spread
  unname(c(fit$coefficients[1] - slope * mean(logits), slope))
}
at_specificity <- function(logits, labels, target = 0.9) {
  negatives <- sort(logits[labels == 0])
  negatives[max(ceiling(target * length(negatives) - 1e-9), 1)]
}

validated <- length(validation) > 0
test$flagged <- NA
if (validated) for (name in unique(test$cell)) {
  rows <- validation[[name]]
  mine <- test$cell == name
  line <- platt(rows$logit, rows$label)
  test$flagged[mine] <- test$logit[mine] > at_specificity(rows$logit, rows$label)
  check(paste("calibration of cell", name), plogis(line[1] + line[2] * test$logit[mine]), test$prob_calibrated[mine], 1e-4)
}

# The models side by side; one that draws nothing at random has one seed, which stands for all.
seeds <- sort(unique(test$seed))
aligned <- lapply(setNames(arms, arms), function(arm) {
  rows <- test[test$arm == arm, ]
  if (length(unique(rows$seed)) == 1 && length(seeds) > 1) {
    rows <- do.call(rbind, lapply(seeds, function(seed) { rows$seed <- seed; rows }))
  }
  rows[order(rows$repetition, rows$seed, rows$fold, rows$unit), ]
})
units <- aligned[[1]]
for (rows in aligned) stopifnot(rows$unit == units$unit, rows$fold == units$fold, rows$label == units$label)
scores <- sapply(aligned, `[[`, "logit")
probs <- sapply(aligned, `[[`, "prob_calibrated")
flagged <- sapply(aligned, `[[`, "flagged")
run <- paste(units$repetition, units$seed)
part <- paste(run, units$fold)
with_both <- function(rows) rows & ave(ifelse(rows, units$label, NA), part, FUN = function(y) {
  y <- y[!is.na(y)]
  length(unique(y)) == 2
}) == 1

# --- AUC -------------------------------------------------------------------------------------------------------------

share_below <- function(a, b) (rank(c(a, b))[seq_along(a)] - rank(a)) / length(b)  # of b below each of a, ties by half
placed <- function(s, labels) {  # shares of the other class below each positive, and above each negative
  list(
    v10 = matrix(apply(s, 2, function(z) share_below(z[labels == 1], z[labels == 0])), ncol = ncol(s)),
    v01 = matrix(apply(s, 2, function(z) 1 - share_below(z[labels == 0], z[labels == 1])), ncol = ncol(s))
  )
}
hanley_mcneil <- function(a, n1, n0) {
  q1 <- a / (2 - a)
  q2 <- 2 * a^2 / (1 + a)
  pmax(a * (1 - a) + (n1 - 1) * (q1 - a^2) + (n0 - 1) * (q2 - a^2), 0) / (n1 * n0)
}

areas <- function(rows, chosen) {
  # Mean over test parts of the AUC of some models, and its covariance: each patient's influence is averaged over
  # runs, then squared and summed over patients. A part that gives no variance gets Hanley and McNeil's.
  at_all <- which(rows)
  people <- unique(units$patient[at_all])
  empty <- matrix(0, length(people), length(chosen))
  x <- y <- cx <- cy <- empty
  runs <- unique(run[at_all])
  value <- df <- 0
  unknown <- NULL
  single <- list()
  for (this in runs) {
    in_run <- at_all[run[at_all] == this]
    folds <- split(in_run, units$fold[in_run])
    share <- 1 / (length(folds) * length(runs))
    for (at in folds) {
      labels <- units$label[at]
      v <- placed(scores[at, chosen, drop = FALSE], labels)
      a <- colMeans(v$v10)
      who <- match(units$patient[at], people)
      px <- rowsum(sweep(v$v10, 2, a), who[labels == 1], reorder = FALSE) / sum(labels == 1)
      py <- rowsum(sweep(v$v01, 2, a), who[labels == 0], reorder = FALSE) / sum(labels == 0)
      n1 <- nrow(px)
      n0 <- nrow(py)
      value <- value + share * a
      df <- df + (min(n1, n0) - 1) / length(runs)
      single[[length(single) + 1]] <- data.frame(units[at[1], c("repetition", "seed", "fold")], area = t(a))
      if (min(n1, n0) < 2 || any(a %in% c(0, 1))) {
        unknown <- rbind(unknown, data.frame(n1, n0, weight = 1 / length(folds)^2 / length(runs)))
        next
      }
      n <- length(unique(who))
      i <- as.integer(rownames(px))
      j <- as.integer(rownames(py))
      x[i, ] <- x[i, ] + share * sqrt(n1 / (n1 - 1)) * px
      y[j, ] <- y[j, ] + share * sqrt(n0 / (n0 - 1)) * py
      cx[i, ] <- cx[i, ] + share * sqrt(n / (n - 1)) * px
      cy[j, ] <- cy[j, ] + share * sqrt(n / (n - 1)) * py
    }
  }
  crossed <- crossprod(cx, cy)
  covariance <- crossprod(x) + crossprod(y) + crossed + t(crossed)
  if (!is.null(unknown)) {
    se <- sqrt(sapply(value, function(a) sum(unknown$weight * hanley_mcneil(a, unknown$n1, unknown$n0))))
    spread <- sqrt(diag(covariance))
    correlation <- covariance / outer(spread, spread)
    correlation[outer(spread, spread) == 0] <- 0
    diag(correlation) <- 1
    covariance <- covariance + correlation * outer(se, se)
  }
  list(value = value, covariance = covariance, df = max(df, 1), single = do.call(rbind, single))
}

newcombe <- function(a, n1, n0) {  # for an AUC of 0 or 1 (Newcombe 2006, method 5)
  grid <- seq(0, 1, length.out = 20001)
  n <- (n1 + n0) / 2
  v <- (grid * (1 - grid) + (n - 1) * (grid / (2 - grid) + 2 * grid^2 / (1 + grid) - 2 * grid^2)) / (n1 * n0)
  range(a, grid[abs(grid - a) <= qnorm(0.975) * sqrt(pmax(v, 0)) + 1e-12])
}
logit_interval <- function(a, se) {
  if (is.na(se) || a <= 0 || a >= 1) return(c(NA, NA))
  plogis(qlogis(a) + c(-1, 1) * qnorm(0.975) * se / (a * (1 - a)))
}

# --- trained again (E2): the wider of the two intervals --------------------------------------------------------------

trained_again <- function(single, change, patient_variance, df) {
  # change: AUCs or differences by test part, in the rows of `single`
  k <- length(unique(single$fold))
  repeats <- length(unique(single$repetition))
  n_seeds <- length(unique(single$seed))
  by_fold <- tapply(change, paste(single$repetition, single$fold), mean)
  j <- length(by_fold)
  if (k < 2) return(NULL)
  corrected <- c(se = sqrt(var(by_fold) * (1 / j + 1 / (k - 1))), df = j - 1)
  patients <- patient_variance * k / (k - 1)
  if (repeats > 1) {
    other <- c(se = sqrt(patients + var(tapply(change, single$repetition, mean)) / repeats), df = df)
  } else {
    between <- if (n_seeds > 1) var(tapply(change, single$seed, mean)) / n_seeds else 0
    below <- patients^2 / df + if (between > 0) between^2 / (n_seeds - 1) else 0
    other <- c(se = sqrt(patients + between), df = if (below > 0) (patients + between)^2 / below else df)
  }
  list(value = mean(change), corrected = corrected, other = other, repeats = repeats)
}
half_width <- function(one, level) unname(qt(0.5 + level / 2, one["df"]) * one["se"])
widest <- function(again, level) max(half_width(again$corrected, level), half_width(again$other, level))
t_p <- function(value, se, df) if (se == 0) as.numeric(value == 0) else unname(2 * pt(-abs(value) / se, df))

# --- proportions, errors, calibration --------------------------------------------------------------------------------

ratio <- function(above, below) {  # of sums over patients, with its variance over them
  counted <- below > 0
  x <- above[counted]
  n <- below[counted]
  p <- sum(x) / sum(n)
  list(p = p, n = sum(n), people = length(n), se = sqrt(length(n) / (length(n) - 1) * sum((x - p * n)^2)) / sum(n))
}
wilson <- function(r) {  # with the rows reduced by the design effect; exact on patients at 0 and 1
  p <- r$p
  if (p %in% c(0, 1)) {
    k <- round(p * r$people)
    return(c(if (k) qbeta(0.025, k, r$people - k + 1) else 0, if (k < r$people) qbeta(0.975, k + 1, r$people - k) else 1))
  }
  n <- r$n / max(1, r$se^2 / (p * (1 - p) / r$n))
  z <- qnorm(0.975)
  (p + z^2 / (2 * n) + c(-1, 1) * z * sqrt(p * (1 - p) / n + z^2 / (4 * n^2))) / (1 + z^2 / n)
}
of_patients <- function(values, rows) tapply(values[rows], units$patient[rows], sum) / length(unique(run[rows]))
share_called <- function(rows, right, side) {
  r <- ratio(of_patients(right & side, rows), of_patients(side, rows))
  c(r$p, wilson(r))
}
brier <- function(rows, prob) {
  r <- ratio(of_patients((prob - units$label)^2, rows), of_patients(rep(1, nrow(units)), rows))
  half <- qt(0.975, r$people - 1) * r$se
  c(r$p, max(r$p - half, 0), r$p + half)
}
recalibration <- function(rows, prob) {  # logistic regression in each run, standard errors clustered in patients
  fits <- sapply(unique(run[rows]), function(this) {
    at <- which(rows & run == this)
    x <- cbind(1, qlogis(pmin(pmax(prob[at], 1e-12), 1 - 1e-12)))
    fit <- suppressWarnings(
      glm.fit(x, units$label[at], family = binomial(), control = list(epsilon = 1e-13, maxit = 100))
    )
    bread <- solve(crossprod(x, x * (fit$fitted.values * (1 - fit$fitted.values))))
    sums <- rowsum(x * (units$label[at] - fit$fitted.values), units$patient[at])
    n <- length(at)
    g <- nrow(sums)
    meat <- crossprod(sums) * g / (g - 1) * (n - 1) / (n - 2)
    c(fit$coefficients, sqrt(diag(bread %*% meat %*% bread)))
  })
  means <- rowMeans(fits)
  z <- qnorm(0.975)
  rbind(intercept = means[1] + c(0, -z, z) * means[3], slope = means[2] + c(0, -z, z) * means[4])
}

# --- the main table --------------------------------------------------------------------------------------------------

main <- table_of("main.csv")
main <- main[main$state == "finished" & main$arm %in% arms, ]
both <- with_both(rep(TRUE, nrow(units)))
positive <- units$label == 1
all_models <- areas(both, arms)
first_run <- both & run == run[both][1]
people <- tapply(units$label[first_run], units$patient[first_run], max)
against <- grep("^roc_auc against ", names(main), value = TRUE)
against <- sub("^roc_auc against ", "", against[paste0(against, "_low") %in% names(main)])
triple <- function(line, metric) as.numeric(line[c(metric, paste0(metric, "_low"), paste0(metric, "_high"))])

cat(sprintf("%s: %d models, %d patients, %d of them positive; R %s\n\n", study, length(arms), length(people), sum(people), getRversion()))
cat(sprintf("%-24s %-32s %-28s %s\n", "", "", "here", "in the pack"))
for (k in seq_along(arms)) {
  arm <- arms[k]
  line <- main[main$arm == arm, ]
  a <- all_models$value[k]
  variance <- max(all_models$covariance[k, k], 0)
  ends <- if (a %in% c(0, 1)) newcombe(a, sum(people), max(length(people) - sum(people), 1)) else logit_interval(a, sqrt(variance))
  compare(arm, "AUC", c(a, ends), triple(line, "roc_auc"))
  again <- trained_again(all_models$single, all_models$single[[3 + k]], variance, all_models$df)
  if ("roc_auc_again_low" %in% names(main) && !is.null(again)) {
    half <- if (again$repeats > 1) half_width(again$other, 0.95) else widest(again, 0.95)
    pack <- as.numeric(line[c("roc_auc_again_low", "roc_auc_again_high")])
    compare(arm, "95 % CI of the AUC, trained again", c(again$value, logit_interval(again$value, half / qnorm(0.975))), c(a, pack))
  }
  for (status in against) {
    some <- areas(with_both(positive | units$status %in% status), arms)
    found <- c(some$value[k], logit_interval(some$value[k], sqrt(max(some$covariance[k, k], 0))))
    compare(arm, paste("AUC against", status), found, triple(line, paste("roc_auc against", status)))
  }
  if ("roc_auc within sites" %in% names(main)) {
    pairs <- sapply(split(which(!is.na(units$site)), paste(part, units$site)[!is.na(units$site)]), function(at) {
      labels <- units$label[at]
      if (length(unique(labels)) < 2) return(c(0, 0))
      sum(labels == 1) * sum(labels == 0) * c(mean(placed(scores[at, k, drop = FALSE], labels)$v10), 1)
    })
    compare(arm, "AUC within sites", sum(pairs[1, ]) / sum(pairs[2, ]), line[["roc_auc within sites"]])
  }
  if (validated) {
    found <- share_called(both, flagged[, k], positive)
    compare(arm, "Sensitivity at 90 % specificity", found, triple(line, "sensitivity_at_90_specificity"))
    compare(arm, "Specificity achieved", share_called(both, !flagged[, k], !positive), triple(line, "specificity_achieved"))
  }
  compare(arm, "Brier score", brier(both, probs[, k]), triple(line, "brier"))
  if (!is.na(line$calibration_slope)) {
    fit <- recalibration(both, probs[, k])
    compare(arm, "Calibration slope", fit["slope", ], triple(line, "calibration_slope"))
    compare(arm, "Calibration intercept", fit["intercept", ], triple(line, "calibration_intercept"))
  }
}

# --- differences between models --------------------------------------------------------------------------------------

verdict_of <- function(c, seeds) {
  if (seeds < 3 || is.na(c$e2_p)) return("not assessed")
  if (c$e2_p_holm < 0.05 && (c$e1_low > 0 || c$e1_high < 0)) return(if (c$difference > 0) "better" else "worse")
  if (-delta < c$e2_low_90 && c$e2_high_90 < delta) return("equivalent")
  if (c$e2_low_90 > -delta) return("non-inferior")
  if (c$e2_high_90 < delta) "any gain is below \u03b4" else "inconclusive"
}
pack <- table_of("comparisons.csv")
pack <- pack[pack$first %in% arms & pack$second %in% arms, ]
if (NROW(pack)) {
  lines <- do.call(rbind, lapply(seq_len(nrow(pack)), function(i) {
    pair <- areas(both, c(pack$first[i], pack$second[i]))
    c2 <- pair$covariance
    variance <- max(c2[1, 1] + c2[2, 2] - 2 * c2[1, 2], 0)
    d <- pair$value[1] - pair$value[2]
    clip <- function(half) pmin(pmax(d + c(-1, 1) * half, -1), 1)
    e1 <- clip(qt(0.975, pair$df) * sqrt(variance))
    again <- trained_again(pair$single, pair$single[[4]] - pair$single[[5]], variance, pair$df)
    e2 <- e2_90 <- c(NA_real_, NA_real_)
    e2_p <- NA_real_
    if (!is.null(again)) {
      e2 <- clip(widest(again, 0.95))
      e2_90 <- clip(widest(again, 0.9))
      e2_p <- max(t_p(d, again$corrected["se"], again$corrected["df"]), t_p(d, again$other["se"], again$other["df"]))
    }
    data.frame(
      difference = d, e1_low = e1[1], e1_high = e1[2], e1_p = t_p(d, sqrt(variance), pair$df), e2_low = e2[1],
      e2_high = e2[2], e2_p = e2_p, e2_low_90 = e2_90[1], e2_high_90 = e2_90[2]
    )
  }))
  lines$e1_p_holm <- p.adjust(lines$e1_p, "holm", n = contrasts_declared)
  lines$e2_p_holm <- p.adjust(lines$e2_p, "holm", n = contrasts_declared)
  cat("\nDifferences of the AUC\n")
  for (i in seq_len(nrow(lines))) {
    who <- paste(pack$first[i], "-", pack$second[i])
    show <- function(what, columns) compare(who, what, as.numeric(lines[i, columns]), as.numeric(pack[i, columns]))
    show("these fitted models", c("difference", "e1_low", "e1_high"))
    if (!is.na(pack$e2_low[i])) show("trained again", c("difference", "e2_low", "e2_high"))
    columns <- c("e1_p", "e1_p_holm", "e2_p", "e2_p_holm", "e2_low_90", "e2_high_90")
    check(who, as.numeric(lines[i, columns]), as.numeric(pack[i, columns]))
    verdict <- verdict_of(lines[i, ], pack$n_seeds[i])
    if (enc2utf8(verdict) == enc2utf8(pack$verdict[i])) agreed <- agreed + 1 else differing <- c(differing, paste(who, "verdict", verdict))
    cat(sprintf("%-24s %-32s p %.4g, adjusted %.4g: %s\n", who, "", lines$e2_p[i], lines$e2_p_holm[i], verdict))
  }
}

# --- net benefit, at the declared prevalence -------------------------------------------------------------------------

drawn <- file.path(here, "..", "figures", "decision.csv")  # the whole curve, where figures were made
pack <- if (file.exists(drawn)) read("..", "figures", "decision.csv") else table_of("decision.csv")
if (!is.null(pack) && !is.na(prevalence)) {
  share <- mean(units$label[run == run[1]])
  odds <- prevalence / (1 - prevalence) * (1 - share) / share
  benefit <- function(prob, t) {  # sensitivity x prevalence - (1 - specificity)(1 - prevalence) t / (1 - t)
    mean(prob[positive] >= t) * prevalence - mean(prob[!positive] >= t) * (1 - prevalence) * t / (1 - t)
  }
  for (arm in intersect(arms, pack$arm)) {
    prob <- pmin(pmax(probs[, arm], 1e-12), 1 - 1e-12)
    prob <- prob * odds / (prob * odds + 1 - prob)
    mine <- pack[pack$arm == arm, ]
    check(paste("net benefit of", arm), sapply(mine$threshold, benefit, prob = prob), mine$value)
  }
  cat(sprintf("\nNet benefit was made again at %d thresholds of every model.\n", length(unique(pack$threshold))))
}

# --- the AUCs of single test parts, beside the pack's and pROC's -----------------------------------------------------

single <- all_models$single
pack <- table_of("per_fold.csv")
pack <- pack[pack$level == unit, ]
for (k in seq_along(arms)) {
  mine <- pack[pack$arm == arms[k], ]
  place <- match(paste(mine[["repeat"]], mine$seed, mine$fold), with(single, paste(repetition, seed, fold)))
  check(paste("AUC of single folds,", arms[k]), single[[3 + k]][place], mine$roc_auc)
}
cat(sprintf("The AUCs of %d single test parts were made again.\n", nrow(single)))
if (requireNamespace("pROC", quietly = TRUE)) {
  for (at in split(which(both), part[both])) {
    curves <- lapply(arms, function(arm) {
      pROC::roc(units$label[at], scores[at, arm], levels = c(0, 1), direction = "<", quiet = TRUE)
    })
    v <- placed(scores[at, , drop = FALSE], units$label[at])
    a <- colMeans(v$v10)
    check("AUC by pROC", a, sapply(curves, function(curve) as.numeric(curve$auc)), 1e-9)
    if (run[at[1]] != run[1] || anyDuplicated(units$patient[at]) || any(a %in% c(0, 1))) next
    own <- cov(v$v10) / nrow(v$v10) + cov(v$v01) / nrow(v$v01)
    for (i in seq_along(arms)) for (j in seq_len(i)) {
      theirs <- if (i == j) pROC::var(curves[[i]], method = "delong") else pROC::cov(curves[[i]], curves[[j]], method = "delong")
      check(paste("DeLong by pROC", arms[i], arms[j]), own[i, j], as.numeric(theirs), 1e-9)
    }
  }
  cat(sprintf("pROC %s: same AUCs; same variances and covariances of DeLong.\n", packageVersion("pROC")))
} else {
  cat("pROC is not installed; install.packages(\"pROC\") adds a check by another implementation.\n")
}

if (length(differing)) {
  cat(sprintf("\n%d numbers agree with the pack, %d DIFFER:\n", agreed, length(differing)))
  writeLines(head(differing, 50))
  quit(status = 1)
}
cat(sprintf("\nAll %d numbers agree with the pack.\n", agreed))
