import torch

from networks.padding import pad_to_multiple


def test_the_outermost_voxels_are_repeated_on_both_sides():
    image = torch.tensor([[1.0, 2, 3, 4, 5]] * 8).reshape(1, 1, 8, 5)
    padded, position = pad_to_multiple(image, 4)
    assert padded[0, 0, 0].tolist() == [1, 1, 2, 3, 4, 5, 5, 5]
    assert padded.shape == (1, 1, 8, 8)
    assert torch.equal(padded[position], image)


def test_every_axis_is_padded_by_its_own_amount():
    image = torch.randn(1, 2, 5, 8, 19)
    padded, position = pad_to_multiple(image, 8)
    assert padded.shape == (1, 2, 16, 16, 24)
    assert torch.equal(padded[position], image)
    assert torch.equal(padded[:, :, 0, 4:12, 2:21], image[:, :, 0])


def test_an_image_that_needs_no_padding_is_not_copied():
    image = torch.randn(1, 1, 8, 16)
    padded, position = pad_to_multiple(image, 4)
    assert padded is image
    assert padded[position].shape == image.shape
