"""SAM checkpoints that others published, with where they come from, and those that the user added. Not torch.

Sizes and checksums are those of the published files.
The digits in the names of Meta's files are the first of their MD5, not of the SHA-256.
"""

from __future__ import annotations

from pathlib import Path

from ..model_files import ModelFile, models_folder

_META = "https://dl.fbaipublicfiles.com/segment_anything"
_SAM_PAPER = "Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643"
#: Meta's published checkpoints, the largest first: the order in which ``auto`` takes them.
SAM_FILES: dict[str, ModelFile] = {
    file.name: file
    for file in (
        ModelFile(
            "vit_h",
            "Segment Anything, ViT-H image encoder (the paper's)",
            "sam_vit_h_4b8939.pth",
            f"{_META}/sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "Apache-2.0",
            2565,
            2564550879,
            _SAM_PAPER,
        ),
        ModelFile(
            "vit_l",
            "Segment Anything, ViT-L image encoder",
            "sam_vit_l_0b3195.pth",
            f"{_META}/sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "Apache-2.0",
            1250,
            1249524607,
            _SAM_PAPER,
        ),
        ModelFile(
            "vit_b",
            "Segment Anything, ViT-B image encoder (the fastest)",
            "sam_vit_b_01ec64.pth",
            f"{_META}/sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "Apache-2.0",
            375,
            375042383,
            _SAM_PAPER,
        ),
    )
}

#: SAMs of others: used when they are named, never by ``auto`` (MedSAM answers boxes; MobileSAM needs a package).
OTHER_SAM_FILES: dict[str, ModelFile] = {
    file.name: file
    for file in (
        ModelFile(
            "medsam",
            "MedSAM, ViT-B trained on medical pictures; made for prompts with boxes",
            "medsam_vit_b.pth",
            "https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
            "34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",
            "CC-BY-4.0",
            375,
            375049145,
            "Ma et al., Segment anything in medical images, Nature Communications 15, 654 (2024)",
        ),
        ModelFile(
            "mobile_sam",
            "MobileSAM, SAM with a small TinyViT image encoder",
            "mobile_sam.pt",
            "https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            "Apache-2.0",
            41,
            40728226,
            "Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
            "mobile_sam",
        ),
    )
}


def sam_files() -> dict[str, ModelFile]:
    """All published SAM checkpoints by name."""
    return SAM_FILES | OTHER_SAM_FILES


def largest_of_metas() -> str | None:
    """Return the name of the largest of Meta's SAMs on this machine: what ``auto`` takes; None if there is none."""
    return next((file.name for file in SAM_FILES.values() if file.path.is_file()), None)


def added_folder() -> Path:
    """Folder of the SAM checkpoints that the user added under names of their own."""
    return models_folder() / "added"


def added_sams() -> dict[str, Path]:
    """SAM checkpoints that the user added, by name."""
    return {path.stem: path for path in sorted(added_folder().glob("*.pth"))}
