{{/* The directories of the node that the driver reads files in, each once. */}}
{{- define "orasfs-csi.directories" -}}
{{- $all := list .Values.hostsDir (dir .Values.registryConfig) }}
{{- with .Values.caFile }}{{ $all = append $all (dir .) }}{{ end }}
{{- with .Values.verifierDir }}{{ $all = append $all . }}{{ end }}
{{- range .Values.verifyKeys }}{{ $all = append $all (dir .) }}{{ end }}
{{- $all | uniq | toJson }}
{{- end }}

{{/* The name of the volume with one of them. */}}
{{- define "orasfs-csi.volume" -}}
{{ lower . | replace "_" "-" | replace "." "-" | replace "/" "-" | trimAll "-" | trunc 63 | trimSuffix "-" }}
{{- end }}
