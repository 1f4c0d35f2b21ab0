{{/* What the containers have in common that come with any CSI driver. */}}
{{- define "orasfs-csi.sidecar" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop:
      - ALL
  readOnlyRootFilesystem: true
  # The sockets are root's, and with SELinux those of a privileged container.
  runAsUser: 0
  seLinuxOptions:
    type: spc_t
  seccompProfile:
    type: RuntimeDefault
resources:
  requests:
    cpu: 5m
    memory: 16Mi
  limits:
    memory: 64Mi
{{- end }}
