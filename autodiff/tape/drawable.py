"""Methods of a tape that draw it or write it for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from autodiff.deferred import Deferred

if TYPE_CHECKING:
    from autodiff.tape.ir import Tape
    from autodiff.tape.profile import Profile

__all__ = ["READERS", "Drawable"]

READERS = Deferred("a tape")
"""Functions of a tape by the name of the method that asks them."""


class Drawable:
    """Methods of `Tape` that make pictures, pages and files."""

    def to_dot(
        self,
        *,
        depth: int | None = None,
        fold: bool | None = None,
        values: bool = False,
        gradients: bool = False,
        costs: bool = False,
        calls: bool = False,
        direction: str = "TB",
        title: str | None = None,
        legend: bool = True,
        parameters: Sequence[str] | None = None,
    ) -> str:
        """Write the tape as a graph in the DOT language.

        Parameters
        ----------
        depth, fold, values, gradients, costs, calls, direction, title, legend, parameters
            As for `draw`.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            As for `draw`.

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x)(3.0).to_dot(direction="LR").startswith("digraph tape {")
        True
        """
        found: str = READERS["to_dot"](
            READERS["inlined"](self) if calls else self,
            depth=depth,
            fold=fold,
            values=values,
            gradients=gradients,
            costs=costs,
            direction=direction,
            title=title,
            legend=legend,
            parameters=parameters,
        )
        return found

    def draw(
        self,
        path: str | PathLike[str] | None = None,
        format: str | None = None,
        *,
        depth: int | None = None,
        fold: bool | None = None,
        values: bool = False,
        gradients: bool = False,
        costs: bool = False,
        calls: bool = False,
        direction: str = "TB",
        title: str | None = None,
        legend: bool = True,
        parameters: Sequence[str] | None = None,
        against: Tape | None = None,
    ) -> Any:
        """Draw the tape: operations are boxes, values are edges with their dtype and shape.

        Calls of modules and functions are frames around what they compute. Blocks that repeat are
        drawn once, with their number; a tape that holds a backward sweep is drawn with both passes
        side by side, the backward one upwards. Dashed edges carry no derivative, a dot at an edge's
        beginning marks a value that reverse mode keeps. SVG needs Graphviz or the extra ``viz``;
        PNG and PDF need Graphviz.

        Parameters
        ----------
        path : path, optional
            Where to write the picture.
        format : {"svg", "png", "pdf", "dot", "html"}, optional
            By default what the suffix of `path` says, else ``"svg"``. ``"html"`` is `to_html`.
        depth : int, optional
            How many calls deep the picture goes; deeper calls are single boxes, with 0 all calls.
            By default as deep as the picture stays legible; a long program without calls and
            repetition is then cut into runs of operations.
        fold : bool, optional
            Whether at least three equal blocks in a row are drawn once. By default where a picture
            would have more than 60 nodes.
        values, gradients : bool
            Whether to show values, and gradients of the first output by them: small ones in full,
            others by norm and mean, of repeated blocks those of the first and the last.
        costs : bool
            Whether to show floating-point operations and bytes moved, and colour by the former.
        calls : bool
            Whether to show what called functions (checkpoints, functions with a derivative of their
            own) compute, as groups in the place of the calls: see `inlined`.
        direction : {"TB", "LR", "BT", "RL"}
            Where the computation flows: top to bottom, left to right, ...
        title : str, optional
            Written above the picture.
        legend : bool
            Whether to explain the shapes, lines and colours that occur.
        parameters : sequence of str, optional
            Which inputs are drawn as parameters: names as in the tape's listing, or the name of the
            argument that holds them. By default: the variables of ``loss.tape``, and of a recorded
            function the leaves of its first argument where that is a container.

        against : Tape, optional
            Another tape: operations that it does not have stand out. See `compare`.

        Returns
        -------
        pathlib.Path, str or bytes
            `path` if it was given, else the picture: text for SVG (a notebook shows it), HTML and
            DOT, bytes for PNG and PDF.

        Raises
        ------
        DrawingError
            No Graphviz was found that writes this format, or the picture is too large with the
            `depth` and `fold` asked for. The graph is then written next to `path`, with the suffix
            ``.dot``.
        ValueError
            Unknown format or direction, a negative depth, or a name in `parameters` is no input;
            values or gradients cannot be had, for which see `values` and `gradients`.
        FileNotFoundError
            The folder of `path` does not exist.

        Examples
        --------
        >>> import autodiff as ad
        >>> print(ad.record(lambda x: x * x)(3.0).draw(format="dot")[:14])
        digraph tape {
        """
        return READERS["draw"](
            READERS["inlined"](self) if calls else self,
            path,
            format,
            depth=depth,
            fold=fold,
            values=values,
            gradients=gradients,
            costs=costs,
            direction=direction,
            title=title,
            legend=legend,
            parameters=parameters,
            against=against,
        )

    def to_html(
        self,
        path: str | PathLike[str] | None = None,
        *,
        calls: bool = False,
        title: str | None = None,
        parameters: Sequence[str] | None = None,
        profile: Profile | None = None,
    ) -> Any:
        """Write the tape as an interactive page: one HTML file that needs no network.

        Modules and functions open and close, search finds operations, and a slider plays the
        computation and then the reverse sweep, rule by rule. A tape that holds a backward sweep
        shows it beside the forward computation. Values and gradients are shown where the tape has
        them (see `values` and `gradients`); the page says where not.

        Parameters
        ----------
        path : path, optional
            Where to write the page.
        calls : bool
            Whether called functions open and close like modules, as for `draw`.
        title : str, optional
            Shown at the top.
        parameters : sequence of str, optional
            Which inputs are drawn as parameters, as for `draw`.
        profile : Profile, optional
            Measured times, shown beside the counted flops; made by `profile` of the same tape.

        Returns
        -------
        pathlib.Path or str
            `path` if it was given, else the page as text, which a notebook shows in a frame.

        Raises
        ------
        DrawingError
            The tape has more than 20,000 operations.
        ValueError
            A name in `parameters` is no input, or `profile` is another tape's.
        FileNotFoundError
            The folder of `path` does not exist.

        Examples
        --------
        >>> import autodiff as ad
        >>> page = ad.record(lambda x: x * x)(3.0).to_html(title="square")
        >>> print(page[:15])
        <!DOCTYPE html>
        """
        return READERS["to_html"](
            READERS["inlined"](self) if calls else self,
            path,
            title=title,
            parameters=parameters,
            profile=profile,
        )

    def to_model_explorer(
        self, path: str | PathLike[str] | None = None, *, title: str | None = None
    ) -> Any:
        """Write the tape as a graph for Model Explorer, in its JSON format.

        Modules and functions become its layers; shapes, flops and sources its attributes.

        Parameters
        ----------
        path : path, optional
            File to write, with the ending ``.json``.
        title : str, optional

        Returns
        -------
        pathlib.Path or str
            `path` if it was given, else the text.

        Raises
        ------
        FileNotFoundError
            The folder of `path` does not exist.

        Examples
        --------
        >>> import autodiff as ad
        >>> text = ad.record(lambda x: x * x)(3.0).to_model_explorer(title="square")
        >>> '"label": "square"' in text
        True
        """
        return READERS["to_model_explorer"](self, path, title=title)

    def to_onnx(self, path: str | PathLike[str] | None = None, *, title: str | None = None) -> Any:
        """Write the tape as an ONNX model, which Netron shows and ONNX's runtimes run.

        Inputs and outputs have the tape's names and dtypes, nodes the calls' names they were
        recorded in. Backward sweeps are written, and what called functions compute.

        Parameters
        ----------
        path : path, optional
            File to write, with the ending ``.onnx``.
        title : str, optional

        Returns
        -------
        pathlib.Path or bytes
            `path` if it was given, else the file's content.

        Raises
        ------
        ExportError
            Operations do not exist there, or not for their dtypes, or the tape has guards; names
            all of them with their lines, and what can be written.
        FileNotFoundError, ModuleNotFoundError
            There is no such folder; ``onnx`` is not installed (extra ``onnx``).

        Examples
        --------
        >>> import onnx
        >>> import autodiff as ad
        >>> model = ad.record(lambda x: x * x + 1)(3.0).to_onnx(title="square")
        >>> [node.op_type for node in onnx.load_from_string(model).graph.node]
        ['Mul', 'Add']
        """
        return READERS["to_onnx"](READERS["inlined"](self), path, title=title)

    def _repr_svg_(self) -> str | None:
        """Picture for notebooks, where the tape is small and there is a Graphviz."""
        found: str | None = READERS["notebook_svg"](self)
        return found
