"""What a tape can be asked, and is answered by modules above it.

A tape holds a program; texts, pictures, pages, values and graphs are made of it by its readers,
which register in `READERS` and are loaded when first asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from autodiff.deferred import Deferred

if TYPE_CHECKING:
    from autodiff.ordering.graph.jacobian_graph import JacobianGraph
    from autodiff.tape.entries import Entry, Operand, Variable
    from autodiff.tape.profile import Profile
    from autodiff.tape.summary import Summary

__all__ = ["READERS", "Readable"]

READERS = Deferred("a tape")
"""Functions of a tape by the name of the method that asks them."""


class Readable:
    """Methods of a tape that its readers answer."""

    # --- what ran over it -------------------------------------------------------------------------

    def values(self) -> dict[Variable, Any]:
        """Value of every variable, at the inputs the tape was recorded for.

        Returns
        -------
        dict of Variable to array

        Raises
        ------
        ValueError
            The tape was put together by hand, or a variable of ``loss.tape`` was assigned since.
        TapeError
            A constant's value was not kept (``loss.tape`` keeps what rules need).

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x + 1)(3.0)
        >>> [float(value) for value in tape.values().values()]
        [3.0, 9.0, 10.0]
        """
        found: dict[Variable, Any] = READERS["values"](self)
        return found

    def gradients(self) -> dict[Variable, Any]:
        """Gradient of the first output by every variable it depends on, itself included.

        In a tape that holds a backward sweep these are the cotangents of that sweep.

        Returns
        -------
        dict of Variable to array

        Raises
        ------
        ValueError
            The first output is no real scalar; or as `values`.
        TapeError
            As `values`.

        Examples
        --------
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: x * x + 1)(3.0)
        >>> [float(gradient) for gradient in tape.gradients().values()]
        [6.0, 1.0, 1.0]
        """
        found: dict[Variable, Any] = READERS["gradients"](self)
        return found

    def saved(self) -> dict[Operand, tuple[Entry, ...]]:
        """Values that a backward sweep would need, and which entries' rules need them.

        All inputs of a float or complex dtype count as differentiated. In a tape that holds a
        backward sweep only the entries that were swept count.

        Returns
        -------
        dict of Variable or Constant to tuple of Entry

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: np.sum(np.exp(x) + 1))(np.ones(3))
        >>> [variable.spec for variable in tape.saved()] == [tape[0].output.spec]
        True
        """
        found: dict[Operand, tuple[Entry, ...]] = READERS["saved"](self)
        return found

    def profile(self, *xs: Any, repeats: int = 5) -> Profile:
        """Measure what each operation takes by the clock, to set beside the counted flops.

        Operations run one by one on the values that they have, whatever they are fused into when
        the tape is compiled. On small arrays the time is that of the call.

        Parameters
        ----------
        *xs
            Arguments of the recorded function; by default those it was recorded for.
        repeats : int
            Runs of each operation, of which the shortest counts.

        Returns
        -------
        Profile

        Raises
        ------
        ValueError
            `repeats` is below 1, or there are no arguments and the tape has none.
        TapeError
            As `evaluate`.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> tape = ad.record(lambda x: np.sum(np.tanh(x)))(np.ones(100))
        >>> len(tape.profile().seconds)
        2
        """
        measured: Profile = READERS["profile"](self, xs, repeats)
        return measured

    # --- text -------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return self.listing()

    def listing(self, limit: int | None = 200, *, calls: bool = False) -> str:
        """Text of the tape: an operation a line, with its cost, its scope and its source line.

        ``print(tape)`` prints this.

        Parameters
        ----------
        limit : int or None
            A tape of more operations shows its first and last ones, and totals. None shows all.
        calls : bool
            Whether to show what called functions compute in the place of the calls: see `inlined`.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            The limit is negative.

        Examples
        --------
        >>> import autodiff as ad
        >>> print(ad.record(lambda x: x * x)(3.0).listing())
        tape(x: float64[]):
          a: float64[] = multiply x x  # 1 flop 24 B ...
          return a
        """
        found: str = READERS["listing"](READERS["inlined"](self) if calls else self, limit)
        return found

    def summary(self) -> Summary:
        """Costs by primitive and by module or function, as a table to print.

        Returns
        -------
        Summary

        Examples
        --------
        >>> import autodiff as ad
        >>> ad.record(lambda x: x * x + x)(3.0).summary().by_primitive["multiply"].flops
        1
        """
        found: Summary = READERS["summary"](self)
        return found

    # --- pictures ---------------------------------------------------------------------------------

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

    def jacobian_graph(self, *, argnums: int | Sequence[int] | None = None) -> JacobianGraph:
        """Graph of the local Jacobians, to plan the order in which they are multiplied.

        The edges carry the structure of the local Jacobians (diagonal, dense, Kronecker, ...),
        which says what products cost.

        Parameters
        ----------
        argnums : int or sequence of int, optional
            Arguments to differentiate, as for `jacobian`. By default all inputs of a float dtype.

        Returns
        -------
        autodiff.ordering.JacobianGraph
            Vertices are numbers: the inputs first, then the values that lie between them and the
            outputs, in the order of evaluation.

        Raises
        ------
        ValueError
            There is no such argument, or no input of a float dtype.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> f = lambda x: np.sum(np.tanh(x))
        >>> plan = ad.record(f)(np.zeros(3)).jacobian_graph().plan("reverse")
        >>> ad.jacobian(f, order=plan)(np.zeros(3))
        array([1., 1., 1.])
        """
        found: JacobianGraph = READERS["jacobian_graph"](self, argnums=argnums)
        return found

    def _repr_svg_(self) -> str | None:
        """Picture for notebooks, where the tape is small and there is a Graphviz."""
        found: str | None = READERS["notebook_svg"](self)
        return found
