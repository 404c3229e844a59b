"""The running text of the card and of evaluation.md; figures go into the braces."""

from __future__ import annotations

DATA = """PatchCamelyon (Veeling et al. 2018, MICCAI; CC0), made from CAMELYON16 (Ehteshami Bejnordi et al.
2017, JAMA; CC0): 7,200 tiles of {side} px at {mpp} µm per pixel, half of them with tumour in their central 32
px. Training slides are composed of its training tiles (2,500 normal, 2,500 tumour), validation slides of its
validation tiles (600 and 600), test slides of its test tiles (500 and 500); the parts share no slide of
CAMELYON16."""

SLIDES = """{train} training, {val} validation and {test} test slides, half of each with tumour, of {least} to
{most} tiles of tissue (median {middle}). One tile lies in each cell of a grid, turned or mirrored at random, so
that a patch is a tile. Normal tiles of all kinds of colour are laid in zones, in proportions of the slide's
own; tumour is one to three foci, {least_tumour} to {most_tumour} of the tissue (median {middle_tumour}). Stains
are left as they are: a slide mixes tiles of many slides, of two hospitals."""

CHOICE = """The method with the highest mean validation AUC over {seeds_n} seeds; of those within {equal} of it,
the one with the lowest mean validation loss; of its runs, the one with the lowest validation loss. The rule was
written before any training: {method}, validation AUC {val_auc}, loss {val_loss}."""

BASE = """Tumour is {share} of all test patches: naming this share everywhere has a patch Brier score of {base}, so
that a Brier score below 0.10 says little here. The recall falls short. The operating point is careful, for there
are {normal_slides} normal validation slides; but even at the threshold that 2% of the normal test patches reach,
recall is {bound}, and that of the probe, which was given the label of every training tile, {probe_bound} (at its
own operating point {probe_recall}, with {probe_marked} of normal tissue marked). Patch by patch, these features do
not give what was asked."""

CROPS = """{crops} crops of real lymph nodes of CAMELYON across the border of a metastasis, 512 px at about
{crop_mpp} µm per pixel (estimated), with coarse masks; evaluation only. Patches of {side} px at {mpp} µm per
pixel, {crop_patches} in all, {crop_share} of them tumour. *Colour alone* and the probe were given the labels of
the training tiles. *Mean of neighbours* is the map averaged over each patch and its up to eight neighbours, which
the engine does not do.

{crop_ranking}

At its operating point the model marks {crop_marked} patches: precision {crop_precision}, recall
{crop_recall}, {crop_normal} of the patches outside of the masks are marked; patch Brier score {crop_brier},
where naming the share of tumour everywhere has {crop_base}. It calls {crop_called} of the {crops} crops
tumour, and all of them hold some: the ranking holds on real tissue, the probabilities and the operating point
do not. {crop_outside} of them are outside of what it knows (distance {crop_distance} of the limit)."""

LIMITS = """Composed slides are no slides. Neighbouring tiles come from different slides, so nothing can be
learnt from what lies around a patch, and the stain of a slide says nothing; segments follow the layout that was
drawn. Test slides share 1,000 tiles: the intervals know slides, not tiles, and are too narrow for new tissue.
PatchCamelyon leaves out patches that are nearly empty, and half of its tiles hold tumour, many more than real
nodes do."""

EVALUATION = f"""# Lymph node: seven methods on composed slides

{DATA}

{SLIDES}

Frozen `efficientnet-lite0`, segments of `stain-regions`, the same split, {{epochs}} epochs at most and {{wide}}
numbers wide for every method; all else as the settings default (TransMIL: 64 landmarks). The epoch,
temperature, calibration and operating point of each run are from the validation slides. Made by the scripts in
`training/lymph_node`.

## Choice

{CHOICE}

{{validation}}

## Test slides

Test slides chose nothing. Mean over {{seeds_n}} seeds (95% interval of a bootstrap over slides). Patch AUC
and average precision are means over tumour slides; precision is of the patches marked on tumour slides, recall
of all tumour patches, *normal marked* of the patches of normal slides, at each run's operating point. *Colour
alone* is a logistic regression on the colour of tiles, the probe one on their features; both were given the
labels of all training tiles, which the methods never see: the probe is about what these features can give a map
patch by patch.

{{table}}

Over seeds, mean ± SD:

{{seeds}}

Which score ranks patches, patch AUC:

{{ranks}}

## Do the segments matter?

The same training of SAM-MIL with the same seeds, where the patches of each slide are shuffled among its segments,
with squares of patches in their place, and without groups (AB-MIL with pseudo-bags). Mean over seeds; SD over
seeds, and intervals over slides.

{{controls}}

All these differences are about as large as the SD over seeds, and squares of patches do about as well as segments:
this does not show that the segments help. The layout has zones of like kind, which squares follow too.

## What was asked, for the run that ships

{{asked}}

{BASE}

## Real crops

{CROPS}

## Automatic choice

Patches of the three bundled classifiers differ, so a sample of 64 patches of each kind is looked at first
(`workflow/candidates.py`), and the slide is processed for the nearest domain. The margin between kinds was chosen
on these images. The lymph node's domain holds many stains and is near to much; GlaS lies outside of all domains.

{{choices}}

## What this does not show

{LIMITS} Crops are few, from slides unknown, some of them neighbours; they have no interval for that reason.
Other sizes, depths of training and encoders were not tried.
"""

CARD = f"""# Lymph node classifier

Metastases in lymph nodes against normal nodes, for demonstration. **Not for diagnosis.**

| | |
|---|---|
| method | {{method}}, {{wide}} wide, seed {{seed}}, weights of {{kb}} kB |
| input | patches of {{side}} px at {{mpp}} µm per pixel, `efficientnet-lite0` (1280-d){{segments}} |
| classes | normal, tumour; threshold {{threshold}} and temperature {{temperature}} from validation slides |
| patches | calibrated on {{calibrated}} validation slides ({{normal_slides}} normal), by slide labels alone |
| data | slides composed of PatchCamelyon tiles (CC0), slide labels alone |
| licence | weights Apache-2.0; PatchCamelyon and CAMELYON16 are CC0 |
| made by | `training/lymph_node` (`compose.py`, `train.py`, `evaluate.py`) |

## Attribution

{DATA}

## Why this method

{CHOICE} All figures of all methods are in `training/lymph_node/evaluation.md`.

## What it is for

To see a whole analysis on real lymph node tissue without training: H&E sections at {{mpp}} µm per pixel (10x)
or finer, from which patches of {{side}} px are read. Its domain was learnt at this size and resolution only;
slides outside of it carry a warning.

It is not for diagnosis, for staging, for isolated tumour cells, for other organs or stains, or for a claim
about a method: the slides are composed.

## Protocol

{SLIDES}

## Held-out slides

Value (95% interval of a bootstrap over the {{test}} test slides). Patch AUC and average precision are means
over tumour slides; precision, recall and *normal marked* are at the operating point.

{{own}}

What was asked of the maps:

{{asked}}

{BASE}

The distance of the test slides from the training slides is {{distance}} of the limit that validation slides
set.

## Real crops

{CROPS}

## Limits

{LIMITS}
"""

SEGMENTS_TABLE = """# Lymph node: SAM-MIL with other segments

The slides and features of [evaluation.md](evaluation.md): 60 training, 30 validation and 40 test slides composed of
PatchCamelyon tiles, frozen `efficientnet-lite0`. In every row SAM-MIL is trained as it is by default, at a width of
256 (no spatial consistency; the runs of `evaluation.md` have it), with the same seeds; only the segments differ.
Behind a segmenter's name: numbers of regions at which the tree of merges is cut, and superpixels it is built on;
8 to 64 of 800 is the default. *Shuffled*: the same segments, with the patches of each slide shuffled among them.
*Grid*: squares of patches, as many as those cuts have regions. *No groups*: AB-MIL with pseudo-bags. Made by
`python training/lymph_node/segments.py WORK --table training/lymph_node/segments.md`.

## Decision

Written before the runs: {candidate}, which passed the [gate](../tissue_sam/evaluation.md), may become the default
in place of {rival}, unless SAM-MIL is worse with it on the validation slides: the 95% interval of the difference in
slide AUC or in patch AUC lies below zero.

{decision}

## Test slides

Every run was measured once on the 40 test slides, which chose nothing. Mean ± SD over seeds; patch AUC and average
precision are means over tumour slides. *Groups*: a slide's, mean over test slides. *Patches*: in the smallest group
around a patch, the median of a slide, mean over slides. *Purity*: how much of the smallest group around a tumour
patch is tumour, mean over the tumour patches of a slide, then over slides; without any groups it would be the share
of tumour, {share} on average.

{table}

## Differences

Test slides, mean over the seeds of both rows (95% interval of a bootstrap that draws slides and seeds, the same for
both), and in how many seeds the first is better. Bold: the interval leaves out zero, with {least_seeds} seeds or
more. Of {n} differences, about one in twenty leaves out zero by chance, and more, as they share runs and slides.

{differences}

## By seed

Slide AUC of the test slides, in brackets that of the validation slides.

{by_seed}

## What it shows

Between {candidate} and {rival} nothing differs beyond chance. On slides of some hundred
patches, cuts of 8 to 64 did not help SAM-MIL: on validation slides as on test slides it was better with 4 to 32 in
the mean, and with seed 2 it learnt the training slides by heart with either kind of the finer segments, which the
validation AUC gives away. Against `regions` 4 to 32 of 500 the default loses slide AUC beyond chance. The finer
cuts are the default because they fit lesions better, and because most slides have thousands of patches; this table
does not speak for them, and on slides like these the coarser ones are the better choice. True segments are better
than the same segments shuffled in most seeds, beyond chance only in the maps of `stain-regions` 4 to 32; squares
of patches do about as well as segments.

## What this does not show

Composed slides are no slides: tiles lie side by side that never did, foci have borders along the cells of a
grid, and zones are wide, so segments follow a layout that was drawn. The slides have {least} to {most} patches;
what finer cuts do on a large slide with a small focus is not seen here. Few seeds and 40 slides leave wide
intervals, and the slides share 1,000 tiles, so that they are still too narrow for new tissue. A rule that asks
only for *not clearly worse* lets pass what is a little worse. It is one recipe and one encoder. Finer groups are
purer by their size alone: compare each with its own shuffled row. `tissue-regions` are those of `tissue-sam` 3
here; with version 4 the figures of the gate differ by at most 0.003 on crops and GlaS."""
