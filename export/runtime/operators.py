"""What a SavedModel may do. It is a program: some operators write files, open connections or call Python.

The list names what may run, not what may not. TensorFlow has some two thousand operators and says of few what they
touch: its flag for side effects is missing at those that read files, write logs or end the process, and every version
brings new ones. What is listed computes, draws random numbers, looks up tables and keeps the model's own variables; it
covers what exports of this package and inference by Keras's layers hold. One that is missing is added here, or let
through once with `load(path, trusted=True)`.
"""

from keras_rnnlm.export.runtime.private_tensorflow import graphs_of

ALLOWED = frozenset(
    """
    Assert Bitcast BroadcastArgs BroadcastGradientArgs BroadcastTo Cast CheckNumerics Const EnsureShape Identity
    IdentityN NoOp OnesLike Placeholder PlaceholderWithDefault PreventGradient Rank Shape ShapeN Size StopGradient
    ZerosLike

    Case Enter Exit If LoopCond Merge NextIteration PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf
    StatelessWhile Switch While

    AssignAddVariableOp AssignSubVariableOp AssignVariableOp DisableCopyOnRead ReadVariableOp ResourceGather
    ResourceGatherNd VarHandleOp VarIsInitializedOp VariableShape

    AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable HashTableV2 InitializeTableV2
    LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2 LookupTableSizeV2
    MutableDenseHashTableV2 MutableHashTableV2

    EmptyTensorList TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3
    TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcat TensorListConcatV2
    TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
    TensorListPushBack TensorListReserve TensorListResize TensorListScatter TensorListScatterIntoExistingList
    TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack

    BatchToSpaceND Bincount Bucketize Concat ConcatOffset ConcatV2 ConjugateTranspose DenseBincount DepthToSpace Diag
    DiagPart DynamicPartition DynamicStitch ExpandDims ExtractImagePatches Fill Gather GatherNd GatherV2
    InvertPermutation LinSpace ListDiff LowerBound MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2
    MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad OneHot Pack Pad
    PadV2 ParallelDynamicStitch Range Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Select SelectV2 Slice
    SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin
    TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile TopK TopKV2 Transpose Unique UniqueV2
    UniqueWithCounts UniqueWithCountsV2 Unpack UpperBound Where

    Abs Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BitwiseAnd
    BitwiseOr BitwiseXor Ceil ClipByValue Complex ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum CumulativeLogsumexp
    Digamma Div DivNoNan Equal Erf Erfc Erfinv EuclideanNorm Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual
    HistogramFixedWidth Igamma Igammac Imag InTopK InTopKV2 Inv Invert IsFinite IsInf IsNan L2Loss LeftShift Less
    LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg
    NextAfter NotEqual NthElement PopulationCount Pow Prod Real RealDiv Reciprocal RightShift Rint Round Rsqrt
    SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Sign Sin Sinh Sqrt Square SquaredDifference Sub Sum Tan
    Tanh TruncateDiv TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum Xdivy
    Xlog1py Xlogy

    BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Einsum FFT FFT2D FFT3D IFFT IFFT2D IFFT3D IRFFT IRFFT2D MatMul
    MatrixDeterminant MatrixInverse MatrixSolve MatrixTriangularSolve Qr RFFT RFFT2D SelfAdjointEigV2 Svd

    AdjustContrastv2 AdjustHue AdjustSaturation AvgPool AvgPool3D BiasAdd BiasAddV1 Conv2D Conv2DBackpropInput
    Conv2DBackpropInputV2 Conv3D Conv3DBackpropInputV2 CropAndResize CudnnRNN CudnnRNNV2 CudnnRNNV3
    DepthwiseConv2dNative Dilation2D Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 HSVToRGB
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 LRN LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 RGBToHSV
    Relu Relu6 ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate Selu Sigmoid Softmax
    SoftmaxCrossEntropyWithLogits Softplus Softsign SparseSoftmaxCrossEntropyWithLogits

    Multinomial RandomGamma RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt StatelessMultinomial
    StatelessRandomGammaV2 StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
    StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
    StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2 TruncatedNormal

    AsString DecodeBase64 DecodeRaw EncodeBase64 ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch
    StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2
    StringStrip StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Substr UnicodeDecode
    UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode UnsortedSegmentJoin

    RaggedBincount RaggedFillEmptyRows RaggedGather RaggedRange RaggedTensorFromVariant RaggedTensorToSparse
    RaggedTensorToTensor RaggedTensorToVariant SparseConcat SparseCross SparseCrossV2 SparseFillEmptyRows
    SparseReduceSum SparseReorder SparseReshape SparseSegmentMean SparseSegmentSqrtN SparseSegmentSum SparseSlice
    SparseTensorDenseMatMul SparseToDense
    """.split()
)
# Every SavedModel holds two functions that store and restore its weights. Loading calls neither.
SAVER = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})


def foreign_operators(path, tf):
    """What a SavedModel holds, in its graph and in all of its functions, that is not on the list: names, sorted."""
    graphs = graphs_of(path, tf)
    if len(graphs) != 1 or not graphs[0].HasField("object_graph_def"):
        return ["a graph of TensorFlow 1"]  # which runs while it is loaded
    (graph,) = graphs
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    names = {name.split(":")[0] for name in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name)}
    rest = [node for node in graph.graph_def.node if node.name not in names]
    saver = _reached(_called((node for node in graph.graph_def.node if node.name in names), functions), functions)
    # Those two alone may handle files, as long as nobody else can call them.
    objects = graph.object_graph_def
    callable_ = _called(rest, functions) | set(objects.concrete_functions) | (set(functions) - saver)
    for node in objects.nodes:
        callable_ |= {*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name}
    reached, foreign = _reached(callable_, functions), {node.op for node in rest} - ALLOWED
    for name, nodes in functions.items():
        foreign |= {node.op for node in nodes} - (ALLOWED if name in reached else ALLOWED | SAVER)
    return sorted(foreign - set(functions))


def _reached(names, functions):
    """These functions, and all that they can call."""
    found = set()
    while names:
        found |= names
        names = {called for name in names for called in _called(functions.get(name, ()), functions)} - found
    return found


def _called(nodes, functions):
    """The functions that nodes name: as an attribute, in a list of them, or as their own operator."""
    found = set()
    for node in nodes:
        found.add(node.op)
        for attribute in node.attr.values():
            found |= {attribute.func.name, *(function.name for function in attribute.list.func)}
    return found & set(functions)
