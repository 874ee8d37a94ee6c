// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"example.com/mimic/tests/cluster/suite/harness"
)

// Source is a path in Mimic's sources.
func Source(parts ...string) string {
	return filepath.Join(append([]string{os.Getenv("MIMIC_SOURCE_DIR")}, parts...)...)
}

// Documents splits a YAML file.
func Documents(text string) (documents []string) {
	for _, document := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(document) != "" {
			documents = append(documents, document)
		}
	}
	return documents
}

// GrantDriver gives the user "driver" the rights of the driver's service account in deploy/manifests/mimic.yaml, and no more: a right that is
// missing there fails tests here.
func GrantDriver(ctx context.Context, cluster *harness.Cluster) error {
	text, err := os.ReadFile(Source("deploy/manifests/mimic.yaml"))
	if err != nil {
		return err
	}
	for _, document := range Documents(string(text)) {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			return err
		}
		if role.Kind != "ClusterRole" {
			continue
		}
		if _, err := cluster.Client.RbacV1().ClusterRoles().Create(ctx, &role, metav1.CreateOptions{}); err != nil {
			return err
		}
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test-driver"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "driver"}}}
		_, err := cluster.Client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
		return err
	}
	return fmt.Errorf("deploy/manifests/mimic.yaml has no ClusterRole")
}
