"""Feature gates that a minor's programs know no more, and those that they have for one value alone.

Compared in the sources of 1.31.14, 1.32.13, 1.33.13, 1.34.4, 1.35.4, 1.36.3 and 1.37.2: the gates that are registered
by pkg/features of k8s.io/kubernetes, apiserver, apiextensions-apiserver and controller-manager, by client-go's
features, and by component-base's (logs, metrics, zpages). Gone: the former minor has it. Fixed: its newest row has
LockToDefault, which it had not in the former minor. Of those of 1.37 that it has, kubernetes'
test/compatibility_lifecycle/reference/versioned_feature_list.yaml says the same.
"""

_GONE = {
    "1.32": """
        CloudDualStackNodeIPs DRAControlPlaneController HPAContainerMetrics KMSv2 KMSv2KDF
        LegacyServiceAccountTokenCleanUp MinDomainsInPodTopologySpread NewVolumeManagerReconstruction
        NodeOutOfServiceVolumeDetach PodHostIPs ServerSideApply ServerSideFieldValidation StableLoadBalancerNodeSet
        ValidatingAdmissionPolicy ZeroLimitedNominalConcurrencyShares
    """,
    "1.33": """
        APIListChunking AdmissionWebhookMatchConditions AggregatedDiscoveryEndpoint AppArmor AppArmorFields CPUManager
        DisableCloudProviders DisableKubeletCloudCredentialProviders EfficientWatchResumption JobPodFailurePolicy
        KubeProxyDrainingTerminatingNodes PDBUnhealthyPodEvictionPolicy PersistentVolumeLastPhaseTransitionTime
        RemainingItemCount VolumeCapacityPriority WatchBookmark
    """,
    "1.34": """
        DevicePluginCDIDevices ElasticIndexedJob LegacySidecarContainers PodDisruptionConditions
        StatefulSetStartOrdinal
    """,
    "1.35": """
        AllowServiceLBStatusOnNonLB ComponentSLIs CronJobsScheduledAnnotation LoadBalancerIPMode PodIndexLabel
        ProbeHostPodSecurityStandards SizeMemoryBackedVolumes StatefulSetAutoDeletePVC StrictCostEnforcementForVAP
        StrictCostEnforcementForWebhooks UserNamespacesPodSecurityStandards
    """,
    "1.36": """
        CSIMigrationPortworx HonorPVReclaimPolicy InPlacePodVerticalScalingAllocatedStatus
        InTreePluginPortworxUnregister MemoryManager ServiceTrafficDistribution StructuredAuthorizationConfiguration
        TopologyAwareHints WatchFromStorageWithoutResourceVersion
    """,
    "1.37": """
        APIServerTracing AnonymousAuthConfigurableEndpoints AnyVolumeDataSource AuthorizeNodeWithSelectors
        AuthorizeWithSelectors BtreeWatchCache ConsistentListFromCache GangScheduling JobBackoffLimitPerIndex
        JobPodReplacementPolicy JobSuccessPolicy LogarithmicScaleDown OrderedNamespaceDeletion PodLifecycleSleepAction
        PodLifecycleSleepActionAllowZero PreventStaticPodAPIReferences RelaxedDNSSearchValidation
        ResilientWatchCacheInitialization RetryGenerateName SchedulerQueueingHints SidecarContainers
        StreamingCollectionEncodingToJSON StreamingCollectionEncodingToProtobuf StructuredAuthenticationConfiguration
        WorkloadAwarePreemption
    """,
}
_ON = {
    "1.32": """
        ComponentSLIs CronJobsScheduledAnnotation CustomResourceFieldSelectors LoadBalancerIPMode MemoryManager
        PodIndexLabel RetryGenerateName ServiceAccountTokenJTI ServiceAccountTokenNodeBindingValidation
        ServiceAccountTokenPodNodeInfo SizeMemoryBackedVolumes StatefulSetAutoDeletePVC StrictCostEnforcementForVAP
        StrictCostEnforcementForWebhooks StructuredAuthorizationConfiguration
    """,
    "1.33": """
        AnyVolumeDataSource BtreeWatchCache CPUManagerPolicyOptions CRDValidationRatcheting CSIMigrationPortworx
        HonorPVReclaimPolicy JobBackoffLimitPerIndex JobSuccessPolicy MatchLabelKeysInPodAffinity NFTablesProxyMode
        NodeInclusionPolicyInPodTopologySpread RecursiveReadOnlyMounts ServiceAccountTokenNodeBinding
        ServiceTrafficDistribution SidecarContainers TopologyAwareHints
    """,
    "1.34": """
        APIServerTracing AnonymousAuthConfigurableEndpoints AuthorizeNodeWithSelectors AuthorizeWithSelectors
        ConsistentListFromCache JobPodReplacementPolicy KubeletCgroupDriverFromCRI KubeletTracing
        MultiCIDRServiceAllocator NodeSwap OrderedNamespaceDeletion PodLifecycleSleepAction
        PodLifecycleSleepActionAllowZero ProbeHostPodSecurityStandards RecoverVolumeExpansionFailure
        RelaxedDNSSearchValidation RelaxedEnvironmentVariableValidation ResilientWatchCacheInitialization
        SchedulerQueueingHints SeparateTaintEvictionController StreamingCollectionEncodingToJSON
        StreamingCollectionEncodingToProtobuf StructuredAuthenticationConfiguration WinDSR WinOverlay
    """,
    "1.35": """
        AggregatedDiscoveryRemoveBetaType DisableAllocatorDualWrite DynamicResourceAllocation ExecProbeTimeout
        ImageMaximumGCAge InPlacePodVerticalScaling JobManagedBy PodObservedGenerationTracking
        PreferSameTrafficDistribution SupplementalGroupsPolicy SystemdWatchdog
    """,
    "1.36": """
        CSIServiceAccountTokenSecrets DRAAdminAccess DeclarativeValidation DisableNodeKubeProxyVersion
        ExternalServiceAccountTokenSigner ImageVolume InOrderInformers KubeletFineGrainedAuthz KubeletPSI
        KubeletPodResourcesDynamicResources KubeletPodResourcesGet MutableCSINodeAllocatableCount NodeLogQuery
        ProcMountType SELinuxChangePolicy SELinuxMountReadWriteOncePod TopologyManagerPolicyOptions
        UserNamespacesSupport VolumeAttributesClass
    """,
    "1.37": """
        DRAExtendedResource DRAPrioritizedList DRAResourceClaimDeviceStatus DisableCPUQuotaWithExclusiveCPUs
        HPAConfigurableTolerance HostnameOverride InPlacePodVerticalScalingInitContainers NodeDeclaredFeatures
        PLEGOnDemandRelist PodReadyToStartContainersCondition RelaxedServiceNameValidation
        WatchCacheInitializationPostStartHook
    """,
}
_OFF = {
    "1.32": "AllowServiceLBStatusOnNonLB",
    "1.33": "WatchFromStorageWithoutResourceVersion",
    "1.35": "AllowOverwriteTerminationGracePeriodSeconds",
    "1.36": "GitRepoVolumeDriver SeparateCacheWatchRPC",
    "1.37": "DeclarativeValidationTakeover",
}


def gone(minor: str) -> tuple[str, ...]:
    """The gates that no program of this minor knows any more and that the minor before has; none before 1.32."""
    return tuple(_GONE.get(minor, "").split())


def fixed(minor: str) -> dict[str, bool]:
    """The gates that this minor has for this value alone, as the one before has not; none before 1.32."""
    return dict.fromkeys(_ON.get(minor, "").split(), True) | dict.fromkeys(_OFF.get(minor, "").split(), False)
