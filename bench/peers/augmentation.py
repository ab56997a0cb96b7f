"""Augmentation of a batch on the GPU in PyTorch, from a set of bytes that lies there: the opponent of
this program's one kernel.

PIPELINES are the ways to do it. All draw slices, make images [N, C, size, size] (channels-last,
standardized by patient, the mask as last channel where it is used) and return them with their rows.
  gather            plain PyTorch: one affine or elastic map an image, four bytes read and weighed by
                    hand, intensities, all made to be fused by torch.compile
  affine            the same with the library's grid_sample on images turned to float first, masks by
                    a second one: what Kornia does inside
  kornia            Kornia's own classes, one draw an image; only where it is installed
  torchvision       torchvision.transforms.v2, one draw a batch: weaker than ours, and to its advantage
  torchvision-each  the same, image by image: the only way to one draw an image there
gather and affine take every number from data/augment_policy.cpp and do all that it does. The others
do what they have; `missing` says what they leave out.
"""
import math
import os
import re

PIPELINES = ["gather", "affine", "kornia", "torchvision", "torchvision-each"]
COMPILABLE = ["gather", "affine", "kornia"]
GRAPHABLE = ["gather", "affine"]  # the others draw on the host: a graph would repeat one draw
MARGIN = 48  # stored windows are that much larger than the cut, as in data/noise_set.hpp
A, B = 1 / 64, -2.0  # standard score = A * byte + B, the same
HERE = os.path.dirname(os.path.abspath(__file__))


def policy(preset):
    """{option: number} of a preset, as data/augment_policy.cpp has it."""
    if preset == "off":
        return {}
    with open(os.path.join(HERE, "..", "..", "data", "augment_policy.cpp")) as file:
        body = re.search(r"AugmentOptions %s\(\) \{(.*?)\n\}" % preset, file.read(), re.DOTALL)
    found = re.findall(r"o\.(\w+) = ([\d.]+)f?[,;]", body.group(1)) if body else []
    if not found:
        raise ValueError(f"no preset {preset} in data/augment_policy.cpp")
    return {name: float(number) for name, number in found}


class NoiseSet:
    """Bytes on the device: images [S, H, W, 3], masks [S, H, W], label and scale of each slice."""

    def __init__(self, torch, device, slices, size):
        side = size + MARGIN
        generator = torch.Generator().manual_seed(1)
        self.images = torch.randint(0, 256, (slices, side, side, 3), dtype=torch.uint8,
                                    generator=generator).to(device)
        self.masks = torch.randint(0, 2, (slices, side, side), dtype=torch.uint8,
                                   generator=generator).to(device)
        self.labels = (torch.arange(slices) % 2).to(device)
        self.scales = torch.tensor([A, B]).expand(slices, 3, 2).contiguous().to(device)
        self.slices = slices


class Draws:
    """Uniform numbers u [N, K] on the device, handed out column by column: one launch draws all.
    A transform's probability and strength come from the policy."""

    def __init__(self, torch, policy, u):
        self.torch, self.policy, self.u, self.used = torch, policy, u, 0

    def take(self, count=1):
        self.used += count
        return self.u[:, self.used - count:self.used]

    def happens(self, transform, count=1):
        return self.take(count) < self.policy[transform + "_probability"]

    def _where(self, transform, value, otherwise):
        return self.torch.where(self.happens(transform, value.shape[1]), value,
                                self.torch.full_like(value, otherwise))

    def signed(self, transform, unit, count=1):
        limit = self.policy[f"{transform}_{unit}"]
        return self._where(transform, (2 * self.take(count) - 1) * limit, 0)

    def up_to(self, transform, unit, count=1, least=0):
        limit = self.policy[f"{transform}_{unit}"]
        return self._where(transform, least + self.take(count) * (limit - least), least)

    def factor(self, transform, count=1):
        """1 / (1 + p) to 1 + p, uniform in the logarithm."""
        log = math.log(1 + self.policy[transform + "_percent"] / 100)
        return self._where(transform, self.torch.exp((2 * self.take(count) - 1) * log), 1)


def spline_basis(torch, size, spacing):
    """[size, knots] of a uniform cubic B-spline."""
    knots = int((size - 1) / spacing) + 4
    basis = torch.zeros(size, knots)
    for pixel in range(size):
        first = int(pixel / spacing)
        t = pixel / spacing - first
        u = 1 - t
        weights = [u ** 3 / 6, (3 * t ** 3 - 6 * t ** 2 + 4) / 6,
                   (-3 * t ** 3 + 3 * t ** 2 + 3 * t + 1) / 6, t ** 3 / 6]
        for i, weight in enumerate(weights):
            basis[pixel, first + i] += weight
    return basis


class Plain:
    """Pipelines gather and affine. `images(u, rows)` is pure: u [N, columns], rows [N]."""

    missing = "nothing"

    def __init__(self, torch, data, size, mask, preset, how, dtype):
        self.torch, self.data, self.size, self.mask = torch, data, size, mask
        self.how, self.dtype = how, dtype
        self.policy = dict(policy(preset))
        device = data.images.device
        self.at = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
        if self.has("elastic"):
            self.elastic_basis = spline_basis(torch, size, self.get("elastic_spacing_pixels")).to(device)
        if self.has("bias"):
            self.bias_basis = spline_basis(torch, size, size / 2).to(device)
        if self.has("blur"):
            self.shifts = self.edge_shifts(int(3 * self.get("blur_pixels")) + 1).to(device)
        draws = Draws(torch, self.policy, torch.rand(1, 4096, device=device))
        self.apply(draws, torch.zeros(1, dtype=torch.int64, device=device))
        self.columns = draws.used + 1  # the last draws the slice

    def get(self, name):
        return self.policy.get(name, 0.0)

    def has(self, transform):
        return self.get(transform + "_probability") > 0

    def rows(self, u):
        """Slices, drawn with the last column."""
        return (u[:, -1] * self.data.slices).long().clamp(max=self.data.slices - 1)

    def images(self, u, rows):
        return self.apply(Draws(self.torch, self.policy, u), rows)

    def apply(self, draws, rows):
        torch = self.torch
        y, x = self.source(draws, rows.shape[0])
        sample = self.gathered if self.how == "gather" else self.sampled
        values, inside = sample(rows, y, x)  # [N, h, w, 3] in bytes' unit; [N, h, w, 1]
        scales = self.data.scales[rows]
        a, b = (scales[:, None, None, :, i] for i in range(2))
        if self.policy:
            values = self.intensities(draws, values, a, b)
            values = a * values + b
            values = self.hide(draws, values)
        else:
            values = a * values + b
        if self.mask:
            values = torch.cat([values, inside], dim=3)
        values = values.to(self.dtype).permute(0, 3, 1, 2)
        return values.contiguous(memory_format=torch.channels_last)

    def source(self, draws, n):
        """Stored coordinates of each pixel, [N, h, w] each, by the inverse of what is done."""
        torch, size = self.torch, self.size
        center = (size + MARGIN - 1) / 2
        dy, dx = self.at[None, :, None], self.at[None, None, :]
        if not self.policy:
            return ((dy + center).expand(n, size, size), (dx + center).expand(n, size, size))
        angle = draws.signed("rotation", "degrees") * (math.pi / 180)
        scale = draws.factor("scale")
        cos, sin = torch.cos(angle), torch.sin(angle)
        yy, yx, tangent = cos, sin, 0
        if self.has("shear"):
            tangent = torch.tan(draws.signed("shear", "degrees") * (math.pi / 180))
        xy, xx = -sin - tangent * yy, cos - tangent * yx
        stretch = draws.factor("stretch") if self.has("stretch") else 1
        yy, yx = yy / (scale * stretch), yx / (scale * stretch)
        xy, xx = xy * stretch / scale, xx * stretch / scale
        if self.has("flip_y"):
            sign = 1 - 2 * draws.happens("flip_y").float()
            yy, yx = yy * sign, yx * sign
        if self.has("flip_x"):
            sign = 1 - 2 * draws.happens("flip_x").float()
            xy, xx = xy * sign, xx * sign
        shift_y = draws.signed("translation", "pixels")
        shift_x = draws.signed("translation", "pixels")
        dy, dx = dy - shift_y[:, :, None], dx - shift_x[:, :, None]
        if self.has("elastic"):
            basis = self.elastic_basis
            strength = draws.up_to("elastic", "pixels")[:, :, None]
            knots = (2 * draws.take(2 * basis.shape[1] ** 2) - 1).view(n, 2, basis.shape[1], -1)
            field = basis @ knots @ basis.T  # [N, 2, h, w]
            dy, dx = dy + strength * field[:, 0], dx + strength * field[:, 1]
        yy, yx, xy, xx = (m[:, :, None] for m in (yy, yx, xy, xx))
        return yy * dy + yx * dx + center, xy * dy + xx * dx + center

    def gathered(self, rows, y, x):
        torch, side = self.torch, self.size + MARGIN
        low_y, low_x = torch.floor(y), torch.floor(x)
        values = 0
        flat = self.data.images.view(-1, 3)
        first = rows[:, None, None] * (side * side)
        for dy in (0, 1):
            for dx in (0, 1):
                at_y, at_x = low_y + dy, low_x + dx
                weight = (1 - (y - at_y).abs()) * (1 - (x - at_x).abs())
                here = (at_y >= 0) & (at_y < side) & (at_x >= 0) & (at_x < side)
                place = (first + at_y.clamp(0, side - 1).long() * side
                         + at_x.clamp(0, side - 1).long())
                weight = torch.where(here, weight, torch.zeros_like(weight))
                values = values + weight[..., None] * flat[place].float()
        if not self.mask:
            return values, None
        near_y, near_x = torch.floor(y + 0.5), torch.floor(x + 0.5)
        here = (near_y >= 0) & (near_y < side) & (near_x >= 0) & (near_x < side)
        place = (first + near_y.clamp(0, side - 1).long() * side + near_x.clamp(0, side - 1).long())
        return values, (here & (self.data.masks.view(-1)[place] > 0)).float()[..., None]

    def sampled(self, rows, y, x):
        torch, side = self.torch, self.size + MARGIN
        sample = torch.nn.functional.grid_sample
        grid = torch.stack([(2 * x + 1) / side - 1, (2 * y + 1) / side - 1], dim=3)
        images = self.data.images[rows].permute(0, 3, 1, 2).float()
        values = sample(images, grid, align_corners=False).permute(0, 2, 3, 1)
        if not self.mask:
            return values, None
        masks = self.data.masks[rows][:, None].float()
        inside = sample(masks, grid, mode="nearest", align_corners=False).permute(0, 2, 3, 1)
        return values, inside

    def intensities(self, draws, values, a, b):
        """[N, h, w, 3] in the stored unit; each image and sequence has its own draws."""
        torch, n, size = self.torch, values.shape[0], self.size
        of_each = lambda draw: draw[:, None, None, :]
        if self.has("bias"):
            basis = self.bias_basis
            strength = draws.up_to("bias", "percent", 3) / 100
            knots = (2 * draws.take(3 * basis.shape[1] ** 2) - 1).view(n, 3, basis.shape[1], -1)
            field = (basis @ knots @ basis.T).permute(0, 2, 3, 1)
            values = values * (1 + of_each(strength) * field)
        if self.has("blur"):
            values = self.smoothed(draws, values)
        if self.has("rician"):
            sigma = of_each(draws.up_to("rician", "percent", 3) / 100) / a
            real = values + sigma * torch.randn_like(values)
            both = torch.sqrt(real ** 2 + (sigma * torch.randn_like(values)) ** 2)
            values = torch.where(sigma > 0, both, values)
        pivot = (-b / a).clamp(min=1)
        if self.has("gamma"):
            exponent = of_each(draws.factor("gamma", 3))
            values = pivot * (values.clamp(min=0) / pivot) ** exponent
        contrast = of_each(draws.factor("contrast", 3))
        brightness = of_each(draws.signed("brightness", "percent", 3) / 100)
        values = values * contrast + pivot * (1 - contrast) + brightness / a
        if self.has("noise"):
            sigma = of_each(draws.up_to("noise", "percent", 3) / 100) / a
            values = values + sigma * torch.randn_like(values)
        return values

    def edge_shifts(self, radius):
        """[2 * radius + 1, size * size]: entry d is the matrix that takes pixel i + d, or the edge."""
        torch, size = self.torch, self.size
        matrices = torch.zeros(2 * radius + 1, size, size)
        for d in range(-radius, radius + 1):
            at = (torch.arange(size) + d).clamp(0, size - 1)
            matrices[d + radius, torch.arange(size), at] = 1
        return matrices.view(2 * radius + 1, -1)

    def smoothed(self, draws, values):
        """Blur, then low resolution: on each axis one matrix an image and sequence."""
        torch, n, size = self.torch, values.shape[0], self.size
        device = values.device
        sigma = draws.up_to("blur", "pixels", 3).reshape(-1, 1)
        radius = (self.shifts.shape[0] - 1) // 2
        offsets = torch.arange(-radius, radius + 1, device=device)
        weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=0.05)) ** 2)
        weights = torch.where(offsets.abs() <= torch.floor(3 * sigma) + 1, weights, 0.0)
        weights = weights / weights.sum(1, keepdim=True)
        matrix = (weights @ self.shifts).view(-1, size, size)
        factor = draws.up_to("low_resolution", "factor", 3, least=1).reshape(-1, 1, 1)
        count = torch.round(size / factor).clamp(min=1)
        width = size / count
        index = torch.arange(size, device=device, dtype=torch.float32)
        place = (index[:, None] + 0.5) / width - 0.5
        low = torch.floor(place)
        begin = index[None, :]

        def coverage(cell):
            cell_begin = cell * width
            return ((torch.minimum(cell_begin + width, begin + 1) - torch.maximum(cell_begin, begin))
                    .clamp(min=0) / width)
        high = torch.minimum(low + 1, count - 1)
        coarse = ((1 - (place - low)) * coverage(low.clamp(min=0)) + (place - low) * coverage(high))
        matrix = coarse @ matrix
        planes = values.permute(0, 3, 1, 2).reshape(-1, size, size)
        planes = matrix @ planes @ matrix.transpose(1, 2)
        return planes.view(n, 3, size, size).permute(0, 2, 3, 1)

    def hide(self, draws, values):
        """Cutout and dropped sequences become the median, 0."""
        torch, size = self.torch, self.size
        if self.has("cutout"):
            chosen = draws.happens("cutout")
            side = 1 + torch.floor(draws.take() * (self.get("cutout_percent") / 100 * size))
            y0, x0 = (torch.floor(draws.take() * (size - side + 1)) for _ in range(2))
            index = torch.arange(size, device=values.device)
            rows = (index >= y0) & (index < y0 + side) & chosen
            columns = (index >= x0) & (index < x0 + side)
            values = torch.where((rows[:, :, None] & columns[:, None, :])[..., None], 0.0, values)
        if self.has("drop"):
            dropped = draws.happens("drop", 3)
            kept = torch.floor(3 * draws.take()) == torch.arange(3, device=values.device)
            dropped = dropped & ~(dropped.all(1, keepdim=True) & kept)
            values = torch.where(dropped[:, None, None, :], 0.0, values)
        return values



class Library:
    """What a library's own transforms make. columns: the slice alone is drawn here."""

    columns = 1

    def __init__(self, torch, data, size, mask, preset, dtype):
        self.torch, self.data, self.size, self.mask, self.dtype = torch, data, size, mask, dtype
        self.policy = policy(preset)

    rows = Plain.rows
    get = Plain.get
    has = Plain.has

    def finish(self, images, masks):
        """images f32 [N, 3, h, w] in 0 to 1, masks [N, 1, h, w] or None."""
        images = images * (255 * A) + B
        if masks is not None:
            images = self.torch.cat([images, (masks > 0.5).to(images.dtype)], dim=1)
        return images.to(self.dtype).contiguous(memory_format=self.torch.channels_last)

    def affine(self):
        """Numbers of an affine transform in the libraries' words."""
        side = self.size + MARGIN
        shift = self.get("translation_pixels") / side
        scale = 1 + self.get("scale_percent") / 100
        return {"degrees": self.get("rotation_degrees"), "translate": (shift, shift),
                "scale": (1 / scale, scale)}


class Torchvision(Library):
    def __init__(self, torch, data, size, mask, preset, dtype, each):
        super().__init__(torch, data, size, mask, preset, dtype)
        from torchvision import tv_tensors
        from torchvision.transforms import v2
        self.tensors, self.each = tv_tensors, each
        self.missing = "nothing" if preset != "full" else "gamma, bias, Rician, low resolution, drop"
        steps, affine = [], self.affine() if self.policy else None
        if self.has("flip_y"):
            steps.append(v2.RandomVerticalFlip(self.get("flip_y_probability")))
        if self.has("flip_x"):
            steps.append(v2.RandomHorizontalFlip(self.get("flip_x_probability")))
        if affine:
            shear = self.get("shear_degrees") or None
            steps.append(v2.RandomApply([v2.RandomAffine(
                **affine, shear=shear, interpolation=v2.InterpolationMode.BILINEAR)],
                self.get("rotation_probability")))
        if self.has("elastic"):
            steps.append(v2.RandomApply([v2.ElasticTransform(alpha=30.0, sigma=8.0)],
                                        self.get("elastic_probability")))
        steps += [v2.CenterCrop(size), v2.ToDtype(torch.float32, scale=True)]
        if self.has("blur"):
            steps.append(v2.RandomApply([v2.GaussianBlur(7, (0.1, self.get("blur_pixels")))],
                                        self.get("blur_probability")))
        if affine:
            steps.append(v2.RandomApply([v2.ColorJitter(
                brightness=self.get("brightness_percent") / 100,
                contrast=self.get("contrast_percent") / 100)], self.get("brightness_probability")))
        if self.has("noise"):
            sigma = self.get("noise_percent") / 100 / (255 * A)
            steps.append(v2.RandomApply([v2.GaussianNoise(sigma=sigma, clip=False)],
                                        self.get("noise_probability")))
        if self.has("cutout"):
            side = self.get("cutout_percent") / 100
            steps.append(v2.RandomErasing(self.get("cutout_probability"), scale=(1e-4, side * side),
                                          ratio=(1, 1)))
        self.transform = v2.Compose(steps)

    def images(self, u, rows):
        images = self.data.images[rows].permute(0, 3, 1, 2)
        masks = self.data.masks[rows][:, None] if self.mask else None
        if not self.each:
            return self.finish(*self.transformed(images, masks))
        one = [self.transformed(images[i:i + 1], masks[i:i + 1] if self.mask else None)
               for i in range(rows.shape[0])]
        masks = self.torch.cat([m for _, m in one]) if self.mask else None
        return self.finish(self.torch.cat([image for image, _ in one]), masks)

    def transformed(self, images, masks):
        images = self.tensors.Image(images)
        if masks is None:
            return self.transform(images).as_subclass(self.torch.Tensor), None
        images, masks = self.transform(images, self.tensors.Mask(masks))
        return (images.as_subclass(self.torch.Tensor),
                masks.as_subclass(self.torch.Tensor).float())


class Kornia(Library):
    def __init__(self, torch, data, size, mask, preset, dtype):
        super().__init__(torch, data, size, mask, preset, dtype)
        import kornia.augmentation as k
        self.missing = "nothing" if preset != "full" else "Rician, bias, low resolution, drop"
        steps, get = [], self.get
        if self.has("flip_y"):
            steps.append(k.RandomVerticalFlip(p=get("flip_y_probability")))
        if self.has("flip_x"):
            steps.append(k.RandomHorizontalFlip(p=get("flip_x_probability")))
        if self.policy:
            shear = get("shear_degrees") or None
            steps.append(k.RandomAffine(**self.affine(), shear=shear, p=get("rotation_probability"),
                                        align_corners=False))
        if self.has("elastic"):
            steps.append(k.RandomElasticTransform(p=get("elastic_probability"), sigma=(8.0, 8.0),
                                                  alpha=(0.1, 0.1)))
        steps.append(k.CenterCrop((size, size)))
        if self.has("blur"):
            steps.append(k.RandomGaussianBlur((7, 7), (0.1, get("blur_pixels")),
                                              p=get("blur_probability")))
        if self.has("gamma"):
            gamma = 1 + get("gamma_percent") / 100
            steps.append(k.RandomGamma((1 / gamma, gamma), p=get("gamma_probability")))
        if self.policy:
            b, c = get("brightness_percent") / 100, get("contrast_percent") / 100
            steps += [k.RandomBrightness((1 - b, 1 + b), p=get("brightness_probability")),
                      k.RandomContrast((1 / (1 + c), 1 + c), p=get("contrast_probability"))]
        if self.has("noise"):
            steps.append(k.RandomGaussianNoise(std=get("noise_percent") / 100 / (255 * A),
                                               p=get("noise_probability")))
        if self.has("cutout"):
            share = (get("cutout_percent") / 100) ** 2
            steps.append(k.RandomErasing((1e-4, share), (1, 1), p=get("cutout_probability")))
        self.transform = k.AugmentationSequential(*steps, data_keys=["input", "mask"] if mask
                                                  else ["input"])

    def images(self, u, rows):
        images = self.data.images[rows].permute(0, 3, 1, 2).float() / 255
        if not self.mask:
            return self.finish(self.transform(images), None)
        return self.finish(*self.transform(images, self.data.masks[rows][:, None].float()))


def make(torch, pipeline, data, size, mask, preset, dtype):
    """Errors: ImportError where the library is not installed, ValueError for an unknown name."""
    if pipeline in ("gather", "affine"):
        return Plain(torch, data, size, mask, preset, pipeline, dtype)
    if pipeline == "kornia":
        return Kornia(torch, data, size, mask, preset, dtype)
    if pipeline in ("torchvision", "torchvision-each"):
        return Torchvision(torch, data, size, mask, preset, dtype, pipeline == "torchvision-each")
    raise ValueError(f"no pipeline {pipeline}; there are {', '.join(PIPELINES)}")
