"""The corpus: radiology reports of a made-up hospital, the same ones at every build. Written from a grammar, so that search has sense to find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

FINDINGS = {
    "chest": [
        ("a solid pulmonary nodule of {mm} mm in the {side} upper lobe", "Follow-up CT in six months is recommended."),
        ("ground-glass opacities in the {side} lower lobe, suspicious for pneumonia", "Clinical correlation with infection is advised."),
        ("a small {side} pleural effusion with basal atelectasis", "Control by radiograph after treatment."),
        ("no focal consolidation and a heart of normal size", "No acute cardiopulmonary disease."),
        ("a filling defect in the {side} pulmonary artery consistent with embolism", "Anticoagulation was started."),
    ],
    "head": [
        ("an acute ischaemic infarct in the territory of the {side} middle cerebral artery", "The stroke team was informed."),
        ("a subdural haematoma of {mm} mm over the {side} convexity", "Neurosurgical referral."),
        ("multiple periventricular white matter lesions compatible with demyelination", "Consider multiple sclerosis."),
        ("no intracranial haemorrhage and no mass effect", "Normal examination for age."),
        ("an enhancing mass of {mm} mm in the {side} temporal lobe with oedema", "Glioma has to be excluded by biopsy."),
    ],
    "abdomen": [
        ("a hypodense liver lesion of {mm} mm in segment VII", "Most likely a simple cyst."),
        ("gallstones without signs of cholecystitis", "Ultrasound on demand."),
        ("an obstructing ureteral calculus of {mm} mm on the {side}", "Urology was informed about hydronephrosis."),
        ("wall thickening of the appendix with fat stranding", "Findings of acute appendicitis; surgery was informed."),
        ("an aneurysm of the infrarenal aorta of {mm} mm", "Yearly surveillance."),
    ],
    "breast": [
        ("a spiculated mass of {mm} mm in the {side} upper outer quadrant, BI-RADS 5", "Core biopsy is recommended."),
        ("scattered benign calcifications, BI-RADS 2", "Routine screening in two years."),
        ("an oval circumscribed mass of {mm} mm in the {side} breast, BI-RADS 3", "Short-term follow-up in six months."),
    ],
    "knee": [
        ("a complete tear of the anterior cruciate ligament with bone bruise", "Orthopaedic referral."),
        ("a horizontal tear of the medial meniscus", "Arthroscopy may be considered."),
        ("moderate osteoarthritis with joint effusion", "Conservative treatment."),
    ],
}  # fmt: skip
MODALITIES = {"chest": ("CT", "CR"), "head": ("MR", "CT"), "abdomen": ("CT", "US"), "breast": ("MG", "MR"), "knee": ("MR", "CR")}  # fmt: skip
REASONS = ("persistent pain", "trauma", "follow-up", "dyspnoea", "screening", "fever", "loss of weight", "staging")
SEED = 20_240_229


@dataclass(frozen=True)
class Report:
    """One document. `year` is when it was written."""

    id: int
    title: str
    body: str
    modality: str
    body_part: str
    year: int


def reports(count: int) -> Iterator[Report]:
    """The first `count` reports; always the same."""
    chance = Random(SEED)  # noqa: S311
    for number in range(1, count + 1):
        part = chance.choice(list(FINDINGS))
        modality = chance.choice(MODALITIES[part])
        findings = chance.sample(FINDINGS[part], 2)
        words = {"side": chance.choice(("left", "right")), "mm": chance.randint(3, 48)}
        year = chance.randint(2014, 2025)
        text = ". ".join(f"There is {finding.format(**words)}. {advice}" for finding, advice in findings)
        title = f"{modality} {part}, {chance.choice(REASONS)}"
        yield Report(number, title, f"{title}. {text}", modality, part, year)
