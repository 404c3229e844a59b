"""The normalisations of colours that encoders were trained with, by name: mean and spread after division by 255."""

from __future__ import annotations

#: Red, green and blue.
Triple = tuple[float, float, float]

#: Name, as the table in the docs has it -> mean and standard deviation of each colour.
NORMALISATIONS: dict[str, tuple[Triple, Triple]] = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "OpenAI CLIP": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "H-optimus": ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)),
    "Hibou": ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816)),
    "Lunit": ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464)),
}
