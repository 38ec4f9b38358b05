"""What PyTorch does: the same networks, as its users write them."""

import torch
from torch import nn


def network(variant, classes):
    if variant == "torchvision":
        widths, kernel, groups, padding = (64, 192, 384, 256, 256), 11, 1, 2
    else:
        widths, kernel, padding = (96, 256, 384, 384, 256), 11, 0
        groups = 2 if variant == "alexnet" else 1

    def normalization():
        if variant != "alexnet":
            return []
        # PyTorch divides alpha by the window of 5.
        return [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)]

    a, b, c, d, e = widths
    dense = [
        *(nn.Linear(e * 6 * 6, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()),
    ]
    if variant == "torchvision":
        dense = [dense[2], *dense[:2], dense[5], *dense[3:5]]
    return nn.Sequential(
        nn.Conv2d(3, a, kernel, stride=4, padding=padding),
        nn.ReLU(inplace=True),
        *normalization(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(a, b, 5, padding=2, groups=groups),
        nn.ReLU(inplace=True),
        *normalization(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(c, d, 3, padding=1, groups=groups),
        nn.ReLU(inplace=True),
        nn.Conv2d(d, e, 3, padding=1, groups=groups),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        *dense,
        nn.Linear(4096, classes),
    )


def round_products(precision):
    """On a card: whether products of float32 are rounded to TF32 first."""
    torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
    torch.backends.cudnn.allow_tf32 = precision != "float32"


def _prepared(variant, batch, pixels, channels_last, classes, device):
    torch.manual_seed(0)
    model = network(variant, classes).to(device)
    x = 60 * torch.randn(batch, 3, pixels, pixels, device=device)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    return model, x, torch.randint(0, classes, (batch,), device=device)


def _autocast(precision, device):
    return torch.autocast(
        device, torch.bfloat16, enabled=precision == "bfloat16"
    )


def step(
    variant,
    batch,
    pixels,
    classes=1000,
    precision="float32",
    channels_last=False,
    fused=False,
    compiled=False,
    rate=0.01,
    device="cpu",
):
    model, x, y = _prepared(
        variant, batch, pixels, channels_last, classes, device
    )
    optimizer = torch.optim.SGD(
        model.parameters(), rate, 0.9, weight_decay=5e-4, fused=fused
    )
    loss_of = nn.CrossEntropyLoss()
    run = torch.compile(model) if compiled else model

    def one(x=x, y=y):
        optimizer.zero_grad()
        with _autocast(precision, device):
            loss = loss_of(run(x), y)
        loss.backward()
        optimizer.step()

    return one


def inference(
    variant,
    batch,
    pixels,
    classes=1000,
    precision="float32",
    channels_last=False,
    compiled=False,
    device="cpu",
):
    model, x, _ = _prepared(
        variant, batch, pixels, channels_last, classes, device
    )
    model.eval()
    if precision == "bfloat16 weights":
        model, x = model.bfloat16(), x.bfloat16()
    run = torch.compile(model) if compiled else model

    def one():
        with torch.inference_mode(), _autocast(precision, device):
            run(x).softmax(1)

    return one


def normalization(
    shape,
    channels_last=False,
    compiled=False,
    precision="float32",
    device="cpu",
):
    """Forward and backward; PyTorch has the channels second."""
    n, height, width, channels = shape
    x = 50 * torch.randn(n, channels, height, width, device=device)
    x = x.to(getattr(torch, precision))
    upstream = torch.randn_like(x)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
        upstream = upstream.to(memory_format=torch.channels_last)
    x.requires_grad_()
    layer = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    run = torch.compile(layer) if compiled else layer

    def both():
        torch.autograd.grad(run(x), x, upstream)

    return both


def update(fused, device="cpu"):
    model = network("alexnet", 1000).to(device)
    for weight in model.parameters():
        weight.grad = 1e-3 * torch.randn_like(weight)
    optimizer = torch.optim.SGD(
        model.parameters(), 0.01, 0.9, weight_decay=5e-4, fused=fused
    )
    return lambda: optimizer.step()


def matrices(size, precision="float32", device="cpu"):
    """The machine's rate: products of square matrices."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return lambda: torch.matmul(a, b)


def copying(gigabytes, device="cpu"):
    """A device's own memory: so much is read, and so much written."""
    source = torch.ones(int(gigabytes * 1e9), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def sending(gigabytes, device="cpu"):
    """From the host's memory, of which pages are locked for it, to a card."""
    source = torch.ones(int(gigabytes * 1e9), dtype=torch.uint8)
    target = torch.empty_like(source, device=device)
    if device != "cpu":
        source = source.pin_memory()
    return lambda: target.copy_(source, non_blocking=True)
