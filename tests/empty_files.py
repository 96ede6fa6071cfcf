"""Data sets of empty files, for tests that depend on names alone, and contents of dataset.json."""

NNUNET = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
DECATHLON = {"training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}], "test": []}


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def write_patient(folder, name, info="ED: 1\nES: 12\nGroup: DCM\n", frames=(1, 12)):
    for number in frames:
        touch(folder, f"{name}/{name}_frame{number:02d}.nii.gz", f"{name}/{name}_frame{number:02d}_gt.nii.gz")
    touch(folder, f"{name}/{name}_4d.nii.gz")
    if info is not None:
        (folder / name / "Info.cfg").write_text(info)
